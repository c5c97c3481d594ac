//! Security descriptors: self-relative bytes, SDDL text, inheritance.
