//! From a directory of the host: captures it as an image.
