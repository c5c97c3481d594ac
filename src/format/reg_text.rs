//! `.reg` files.
