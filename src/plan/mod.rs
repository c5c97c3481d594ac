//! Layer 7: what must happen, in which order, and why.

pub mod graph;
pub mod inputs;
pub mod key;
pub mod lock;
pub mod order;
