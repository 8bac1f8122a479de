mod model;
mod named;
mod threads;
