mod address;
mod fields;
mod table;
mod threads;
