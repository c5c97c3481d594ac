pub mod base;
pub mod codec;
pub mod format;
