mod instructions;
mod put;
mod read;
mod reshard;
mod subscribe;
mod world;
