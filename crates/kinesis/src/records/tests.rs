mod put;
mod read;
mod reshard;
mod world;
