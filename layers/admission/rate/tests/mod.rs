mod fields;
mod table;
mod threads;
