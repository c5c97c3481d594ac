//! Ceilings for what untrusted input may demand of memory and time.

/// What a reader may spend on one file. The defaults fit every real Windows image with room to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest metadata resource of one image, uncompressed, in bytes. Real ones reach about 100 MB.
    pub metadata: u64,
    /// Deepest directory nesting accepted (wimlib's own ceiling is 16,384).
    pub depth: usize,
    /// Largest XML document, in bytes of UTF-16.
    pub xml: u64,
    /// Largest blob table, in bytes (50 bytes an entry).
    pub blob_table: u64,
    /// Largest registry hive, in bytes. Windows itself stops at 2 GiB.
    pub hive: u64,
    /// Largest compression chunk, in bytes.
    pub chunk: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            metadata: 1 << 30,
            depth: 1024,
            xml: 64 << 20,
            blob_table: 1 << 30,
            hive: 1 << 30,
            chunk: 64 << 20,
        }
    }
}
