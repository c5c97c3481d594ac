pub mod base;
pub mod codec;
