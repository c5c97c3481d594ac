//! To a directory of the host: what a Unix file system can hold.
