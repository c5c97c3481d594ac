//! PE headers: which machine a program is for.
