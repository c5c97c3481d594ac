//! The header (208 bytes at the start of the file) and the 24-byte resource header used all over the format.
//!
//! ```text
//! 0x00 magic  0x08 header size  0x0c version  0x10 flags  0x14 chunk size  0x18 GUID  0x28 part, parts (u16)
//! 0x2c images 0x30 blob table   0x48 XML      0x60 boot metadata  0x78 boot index  0x7c integrity table  0x94 zero
//! ```

use super::error::WimError;
use crate::{
    base::{
        bytes::{Reader, Writer},
        guid::Guid,
        malformed::Malformed,
    },
    codec::Codec,
};

/// What a WIM begins with.
const MAGIC: &[u8; 8] = b"MSWIM\0\0\0";
/// What a pipable WIM (a variant of wimlib's) begins with.
const PIPABLE_MAGIC: &[u8; 8] = b"WLPWM\0\0\0";
/// Versions before the usual one; their headers and entries are shaped otherwise.
const OLD_VERSIONS: [u32; 3] = [0x0001_0900, 0x0001_0a00, 0x0001_0c00];
const FORMAT: &str = "WIM header";

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
    /// Bytes it takes in the file.
    pub const SIZE: usize = 24;
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

    /// Offset of the byte behind it; `None` when that overflows.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.stored_size)
    }

    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let sized = reader.u64()?;
        let [.., flags] = sized.to_le_bytes();
        let stored_size = sized & 0x00ff_ffff_ffff_ffff;
        Ok(Self { stored_size, flags, offset: reader.u64()?, size: reader.u64()? })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        let [a, b, c, d, e, f, g, _] = self.stored_size.to_le_bytes();
        writer.bytes(&[a, b, c, d, e, f, g, self.flags]).u64(self.offset).u64(self.size);
    }
}

/// The file header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// [`Header::VERSION`], or [`Header::VERSION_SOLID`] for files with LZMS or solid resources.
    pub version: u32,
    /// [`Header::COMPRESSION`] and others.
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

impl Header {
    /// Bytes it takes in the file.
    pub const SIZE: usize = 208;
    /// The usual version.
    pub const VERSION: u32 = 0x0001_0d00;
    /// The version of files with LZMS or solid resources.
    pub const VERSION_SOLID: u32 = 0x0000_0e00;
    /// Resources may be compressed; one of the codec flags goes with it.
    pub const COMPRESSION: u32 = 0x2;
    /// The file must not be changed.
    pub const READ_ONLY: u32 = 0x4;
    /// One part of a split file.
    pub const SPANNED: u32 = 0x8;
    /// A writer is at work, or was and did not finish.
    pub const WRITE_IN_PROGRESS: u32 = 0x40;
    /// Absolute links were made relative to the image's root at capture.
    pub const RP_FIX: u32 = 0x80;
    /// XPRESS.
    pub const XPRESS: u32 = 0x0002_0000;
    /// LZX.
    pub const LZX: u32 = 0x0004_0000;
    /// LZMS.
    pub const LZMS: u32 = 0x0008_0000;
    /// XPRESS too, seen with small chunks.
    pub const XPRESS_2: u32 = 0x0020_0000;

    /// Reads the 208 bytes at the start of a file.
    ///
    /// # Errors
    /// When they are no WIM header, or one of a kind that this version does not read (named).
    pub fn parse(bytes: &[u8]) -> Result<Self, WimError> {
        let mut reader = Reader::new(FORMAT, bytes);
        match bytes.get(..8) {
            Some(magic) if magic == MAGIC => reader.seek(8)?,
            Some(magic) if magic == PIPABLE_MAGIC => {
                return Err(WimError::unsupported("pipable WIM files are"));
            }
            Some(magic) => {
                let found = magic.escape_ascii();
                let what = format!("it begins with \"{found}\" instead of \"MSWIM\"");
                return Err(WimError::NotAWim { what });
            }
            None => {
                let what = format!("it has only {} bytes", bytes.len());
                return Err(WimError::NotAWim { what });
            }
        }
        let size = reader.u32()?;
        let version = reader.u32()?;
        if OLD_VERSIONS.contains(&version) {
            let what = format!("the old WIM format version {version:#x} is");
            return Err(WimError::Unsupported { what });
        }
        if version != Self::VERSION && version != Self::VERSION_SOLID {
            return Err(WimError::Unsupported {
                what: format!("WIM format version {version:#x} is"),
            });
        }
        if size as usize != Self::SIZE {
            let what = format!("header size is {size}, expected {}", Self::SIZE);
            return Err(Malformed::new(FORMAT, what, 8).into());
        }
        let header = Self::parse_fields(&mut reader, version)?;
        header.check()?;
        Ok(header)
    }

    fn parse_fields(reader: &mut Reader<'_>, version: u32) -> Result<Self, Malformed> {
        let mut header = Self {
            version,
            flags: reader.u32()?,
            chunk_size: reader.u32()?,
            guid: Guid(reader.array()?),
            part_number: reader.u16()?,
            total_parts: reader.u16()?,
            image_count: reader.u32()?,
            blob_table: ResourceHeader::parse(reader)?,
            xml: ResourceHeader::parse(reader)?,
            boot_metadata: ResourceHeader::parse(reader)?,
            boot_index: reader.u32()?,
            integrity: ResourceHeader::parse(reader)?,
        };
        if version == Self::VERSION {
            // The flag means nothing in this version.
            for resource in [
                &mut header.blob_table,
                &mut header.xml,
                &mut header.boot_metadata,
                &mut header.integrity,
            ] {
                resource.flags &= !ResourceHeader::SOLID;
            }
        }
        reader.bytes(60)?;
        Ok(header)
    }

    fn check(&self) -> Result<(), WimError> {
        let malformed = |what: String, offset| Err(Malformed::new(FORMAT, what, offset).into());
        if self.total_parts > 1 && !(1..=self.total_parts).contains(&self.part_number) {
            let what = format!("it is part {} of {}", self.part_number, self.total_parts);
            return malformed(what, 0x28);
        }
        // The format's own ceiling; far more than anybody has, and it bounds what a lying header can ask for.
        if self.image_count > 0xffff {
            return malformed(format!("image count is {}", self.image_count), 0x2c);
        }
        if self.boot_index > self.image_count {
            let what = format!(
                "boot index is {}, but there are {} images",
                self.boot_index, self.image_count
            );
            return malformed(what, 0x78);
        }
        let codec = self.codec()?;
        if codec != Codec::None && !codec.allows_chunk_size(self.chunk_size) {
            return malformed(format!("{codec} with chunks of {} bytes", self.chunk_size), 0x14);
        }
        Ok(())
    }

    /// How resources are compressed, from the flags.
    ///
    /// # Errors
    /// When the flags name no codec, or several.
    pub fn codec(&self) -> Result<Codec, Malformed> {
        if self.flags & Self::COMPRESSION == 0 {
            return Ok(Codec::None);
        }
        match self.flags & (Self::XPRESS | Self::LZX | Self::LZMS | Self::XPRESS_2) {
            Self::LZX => Ok(Codec::Lzx),
            Self::LZMS => Ok(Codec::Lzms),
            flags if flags != 0 && flags & (Self::LZX | Self::LZMS) == 0 => Ok(Codec::Xpress),
            _ => {
                let what = format!("flags {:#x} do not name one compression", self.flags);
                Err(Malformed::new(FORMAT, what, 0x10))
            }
        }
    }

    /// True for a part of a split set.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.total_parts > 1
    }

    /// The flags that say how resources are compressed.
    #[must_use]
    pub fn codec_flags(codec: Codec) -> u32 {
        match codec {
            Codec::None => 0,
            Codec::Xpress => Self::COMPRESSION | Self::XPRESS,
            Codec::Lzx => Self::COMPRESSION | Self::LZX,
            Codec::Lzms => Self::COMPRESSION | Self::LZMS,
        }
    }

    /// The 208 bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(MAGIC).u32(0xd0).u32(self.version).u32(self.flags).u32(self.chunk_size);
        writer.bytes(&self.guid.0).u16(self.part_number).u16(self.total_parts);
        writer.u32(self.image_count);
        self.blob_table.encode(&mut writer);
        self.xml.encode(&mut writer);
        self.boot_metadata.encode(&mut writer);
        writer.u32(self.boot_index);
        self.integrity.encode(&mut writer);
        writer.data.resize(Self::SIZE, 0);
        writer.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        let resource = |n: u64| ResourceHeader { stored_size: n, flags: 2, offset: n + 1, size: n };
        Header {
            version: Header::VERSION,
            flags: Header::RP_FIX | Header::codec_flags(Codec::Lzx),
            chunk_size: 32768,
            guid: Guid([7; 16]),
            part_number: 1,
            total_parts: 1,
            image_count: 2,
            blob_table: resource(0x00aa_bbcc_ddee_ff11),
            xml: resource(1),
            boot_metadata: resource(2),
            boot_index: 2,
            integrity: resource(3),
        }
    }

    #[test]
    fn round_trips() {
        let header = sample();
        let bytes = header.encode();
        assert_eq!(bytes.len(), 208);
        assert_eq!(&bytes[0x10..0x14], &0x40082_u32.to_le_bytes());
        assert_eq!(Header::parse(&bytes).unwrap(), header);
    }

    #[test]
    fn says_what_it_does_not_read() {
        let text = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = sample().encode();
            change(&mut bytes);
            Header::parse(&bytes).unwrap_err().to_string()
        };
        assert!(text(&|b| b[..5].copy_from_slice(b"WLPWM")).contains("pipable"));
        assert!(text(&|b| b[0] = b'X').starts_with("not a WIM file"));
        assert!(text(&|b| b.truncate(4)).contains("only 4 bytes"));
        assert!(text(&|b| b[0xd] = 0x0c).contains("old WIM format version 0x10c00"));
        assert!(text(&|b| b[0x28..0x2c].copy_from_slice(&[4, 0, 3, 0])).contains("part 4 of 3"));
        assert!(text(&|b| b[0x12] = 6).contains("do not name one compression"));
        assert!(text(&|b| b[0x15] = 1).contains("chunks of"));
        assert!(text(&|b| b.truncate(200)).contains("truncated"));
        assert!(text(&|b| b[0x78] = 3).contains("boot index"));
    }
}
