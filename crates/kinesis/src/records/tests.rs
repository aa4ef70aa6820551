mod put;
mod read;
mod reshard;
mod subscribe;
mod world;
