//! The header (208 bytes at the start of the file) and the 24-byte resource header used all over the format.

use crate::base::guid::Guid;

/// Where a resource lies and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ResourceHeader {
    /// Bytes in the file (56 bits).
    pub stored_size: u64,
    /// [`ResourceHeader::METADATA`], [`ResourceHeader::COMPRESSED`], [`ResourceHeader::SOLID`] and others.
    pub flags: u8,
    /// Offset in the file.
    pub offset: u64,
    /// Size when uncompressed, in bytes.
    pub size: u64,
}

impl ResourceHeader {
    /// The entry is not in use; readers ignore the flag.
    pub const FREE: u8 = 0x01;
    /// Metadata of an image; also set on the blob table and the XML.
    pub const METADATA: u8 = 0x02;
    /// Stored as chunks in the file's own codec and chunk size.
    pub const COMPRESSED: u8 = 0x04;
    /// Continued in another part; readers ignore the flag.
    pub const SPANNED: u8 = 0x08;
    /// Part of a solid resource (version 0xE00 only).
    pub const SOLID: u8 = 0x10;

    /// True when stored as compressed chunks.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.flags & Self::COMPRESSED != 0
    }

    /// True when it lies inside, or is, a solid resource.
    #[must_use]
    pub fn is_solid(&self) -> bool {
        self.flags & Self::SOLID != 0
    }

    /// True for metadata of an image, the blob table and the XML.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        self.flags & Self::METADATA != 0
    }
}

/// The file header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// 0x10D00, or 0xE00 for files with LZMS or solid resources.
    pub version: u32,
    /// Flags, `Header::COMPRESSION` and others.
    pub flags: u32,
    /// Bytes in a chunk of compressed resources; 0 in an uncompressed file.
    pub chunk_size: u32,
    /// Identity of the file; equal in all parts of a split file.
    pub guid: Guid,
    /// Number of this part, from 1.
    pub part_number: u16,
    /// How many parts there are.
    pub total_parts: u16,
    /// How many images there are.
    pub image_count: u32,
    /// The blob table.
    pub blob_table: ResourceHeader,
    /// The XML document.
    pub xml: ResourceHeader,
    /// Copy of the bootable image's metadata resource header; zero when there is none.
    pub boot_metadata: ResourceHeader,
    /// Number of the bootable image, from 1; 0 when there is none.
    pub boot_index: u32,
    /// The integrity table; zero when there is none.
    pub integrity: ResourceHeader,
}
