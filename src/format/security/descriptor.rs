//! Self-relative security descriptors: bytes to values and back.

use std::fmt;

use crate::base::{
    bytes::{Reader, Writer},
    malformed::Malformed,
};

const FORMAT: &str = "security descriptor";

/// The descriptor has a DACL (perhaps an empty pointer: everybody may do everything).
pub const DACL_PRESENT: u16 = 0x0004;
/// The descriptor has a SACL.
pub const SACL_PRESENT: u16 = 0x0010;
/// The DACL shall be passed on to what is below.
pub const DACL_AUTO_INHERIT_REQUIRED: u16 = 0x0100;
/// The SACL shall be passed on to what is below.
pub const SACL_AUTO_INHERIT_REQUIRED: u16 = 0x0200;
/// Entries of the DACL that came from the parent are marked.
pub const DACL_AUTO_INHERITED: u16 = 0x0400;
/// Entries of the SACL that came from the parent are marked.
pub const SACL_AUTO_INHERITED: u16 = 0x0800;
/// The DACL takes nothing from the parent.
pub const DACL_PROTECTED: u16 = 0x1000;
/// The SACL takes nothing from the parent.
pub const SACL_PROTECTED: u16 = 0x2000;
/// The descriptor is one run of bytes with offsets.
const SELF_RELATIVE: u16 = 0x8000;

/// ACE flag: files below get it.
pub const OBJECT_INHERIT: u8 = 0x01;
/// ACE flag: folders below get it.
pub const CONTAINER_INHERIT: u8 = 0x02;
/// ACE flag: what gets it does not pass it on.
pub const NO_PROPAGATE: u8 = 0x04;
/// ACE flag: it says nothing about the folder it stands on.
pub const INHERIT_ONLY: u8 = 0x08;
/// ACE flag: it came from the parent.
pub const INHERITED: u8 = 0x10;

/// A security identifier: its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Box<[u8]>);

/// An entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ace {
    /// `ACCESS_ALLOWED_ACE_TYPE` (0), denied (1), audit (2) ...
    pub kind: u8,
    /// Inheritance and audit flags.
    pub flags: u8,
    /// What follows the four bytes of the header.
    pub body: Vec<u8>,
}

/// An access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// 2, or 4 when it holds entries about object types.
    pub revision: u8,
    /// The entries in order.
    pub aces: Vec<Ace>,
}

/// A security descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityDescriptor {
    /// `SE_*`; what merely says how the bytes lie is set when they are made.
    pub control: u16,
    /// The byte beside the revision: resource manager control bits.
    pub resource_manager: u8,
    /// The owner.
    pub owner: Option<Sid>,
    /// The primary group.
    pub group: Option<Sid>,
    /// The audit list.
    pub sacl: Option<Acl>,
    /// The access list; `None` with [`DACL_PRESENT`] in `control`: everybody may do everything.
    pub dacl: Option<Acl>,
}

impl Sid {
    /// `S-1-authority-parts...`; `None` for more than 15 parts or an authority over 48 bits.
    #[must_use]
    pub fn new(authority: u64, parts: &[u32]) -> Option<Self> {
        if authority >> 48 != 0 || parts.len() > 15 {
            return None;
        }
        let mut writer = Writer::new();
        writer.u8(1).u8(u8::try_from(parts.len()).ok()?).bytes(&authority.to_be_bytes()[2..]);
        for part in parts {
            writer.u32(*part);
        }
        Some(Self(writer.data.into()))
    }

    /// Reads `S-1-5-32-544`; decimal, the authority also as `0x` and hexadecimal digits.
    #[must_use]
    pub fn parse_text(text: &str) -> Option<Self> {
        let mut fields = text
            .get(..4)
            .filter(|head| head.eq_ignore_ascii_case("S-1-"))
            .and_then(|_| Some(text.get(4..)?.split('-')))?;
        let authority = fields.next()?;
        let authority = match authority.strip_prefix("0x").or_else(|| authority.strip_prefix("0X"))
        {
            Some(digits) => u64::from_str_radix(digits, 16).ok()?,
            None => authority.parse().ok()?,
        };
        let parts: Vec<u32> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
        Self::new(authority, &parts)
    }

    /// Reads a SID at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// When it is truncated, of another revision or has more than 15 parts.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut ahead = reader.clone();
        let (revision, count) = (ahead.u8()?, ahead.u8()?);
        if revision != 1 || count > 15 {
            return Err(reader.malformed("not a security identifier"));
        }
        Ok(Self(reader.bytes(8 + 4 * usize::from(count))?.into()))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut authority = [0; 8];
        authority[2..].copy_from_slice(&self.0[2..8]);
        write!(formatter, "S-1-{}", u64::from_be_bytes(authority))?;
        for part in self.0[8..].as_chunks::<4>().0 {
            write!(formatter, "-{}", u32::from_le_bytes(*part))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Ace {
    /// An entry of rights for a SID.
    #[must_use]
    pub fn new(kind: u8, flags: u8, rights: u32, sid: &Sid) -> Self {
        let mut body = Writer::new();
        body.u32(rights).bytes(sid.bytes());
        Self { kind, flags, body: body.data }
    }

    /// The rights, when the type has them in the usual place.
    #[must_use]
    pub fn rights(&self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.body.first_chunk()?))
    }

    /// The SID, when the type has it right behind the rights; what follows it (conditions, attributes) comes too.
    #[must_use]
    pub fn sid(&self) -> Option<(Sid, &[u8])> {
        // Allow, deny, audit, alarm; their callback forms; label, resource attribute, scoped policy.
        if !matches!(self.kind, 0..=3 | 9 | 10 | 13 | 14 | 0x11..=0x13) {
            return None;
        }
        let mut reader = Reader::new(FORMAT, self.body.get(4..)?);
        let sid = Sid::parse(&mut reader).ok()?;
        let rest = reader.position();
        Some((sid, self.body.get(4 + rest..)?))
    }
}

impl Acl {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self { revision: 2, aces: Vec::new() }
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut ahead = reader.clone();
        let (revision, _) = (ahead.u8()?, ahead.u8()?);
        let size = usize::from(ahead.u16()?);
        if !(2..=4).contains(&revision) || size < 8 {
            return Err(reader.malformed("not an access control list"));
        }
        let mut list = reader.sub(size)?;
        list.bytes(4)?;
        let count = list.u16()?;
        list.u16()?;
        let mut aces = Vec::new();
        for _ in 0..count {
            let (kind, flags, size) = (list.u8()?, list.u8()?, usize::from(list.u16()?));
            let body = size
                .checked_sub(4)
                .ok_or_else(|| list.malformed("an entry shorter than its own header"))?;
            aces.push(Ace { kind, flags, body: list.bytes(body)?.to_vec() });
        }
        Ok(Self { revision, aces })
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        8 + self.aces.iter().map(|ace| 4 + ace.body.len()).sum::<usize>()
    }

    fn write(&self, writer: &mut Writer) {
        let size = u16::try_from(self.size()).unwrap_or(u16::MAX);
        let count = u16::try_from(self.aces.len()).unwrap_or(u16::MAX);
        writer.u8(self.revision).u8(0).u16(size).u16(count).u16(0);
        for ace in &self.aces {
            let size = u16::try_from(4 + ace.body.len()).unwrap_or(u16::MAX);
            writer.u8(ace.kind).u8(ace.flags).u16(size).bytes(&ace.body);
        }
    }
}

impl Default for Acl {
    fn default() -> Self {
        Self::new()
    }
}

impl SecurityDescriptor {
    /// Reads self-relative bytes.
    ///
    /// # Errors
    /// When an offset, a length or a count points outside, or a part is not what it should be.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(FORMAT, bytes);
        let (revision, resource_manager, control) = (reader.u8()?, reader.u8()?, reader.u16()?);
        if revision != 1 || control & SELF_RELATIVE == 0 {
            return Err(Malformed::new(FORMAT, "not a self-relative security descriptor", 0));
        }
        let mut offsets = [0; 4];
        for offset in &mut offsets {
            *offset = reader.u32()? as usize;
        }
        let at = |offset: usize| -> Result<Option<Reader<'_>>, Malformed> {
            if offset == 0 {
                return Ok(None);
            }
            let mut part = Reader::new(FORMAT, bytes);
            part.seek(offset)?;
            Ok(Some(part))
        };
        let sid = |offset| at(offset)?.map(|mut part| Sid::parse(&mut part)).transpose();
        let acl = |offset, present: u16| -> Result<Option<Acl>, Malformed> {
            if control & present == 0 {
                return Ok(None);
            }
            at(offset)?.map(|mut part| Acl::parse(&mut part)).transpose()
        };
        let [owner, group, sacl, dacl] = offsets;
        Ok(Self {
            control,
            resource_manager,
            owner: sid(owner)?,
            group: sid(group)?,
            sacl: acl(sacl, SACL_PRESENT)?,
            dacl: acl(dacl, DACL_PRESENT)?,
        })
    }

    /// Self-relative bytes, parts in the order Windows puts them: SACL, DACL, owner, group.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut parts = Writer::new();
        let mut place = |write: &mut dyn FnMut(&mut Writer)| {
            let offset = u32::try_from(20 + parts.data.len()).unwrap_or(u32::MAX);
            write(&mut parts);
            parts.align(4);
            offset
        };
        let sacl = self.sacl.as_ref().map_or(0, |acl| place(&mut |writer| acl.write(writer)));
        let dacl = self.dacl.as_ref().map_or(0, |acl| place(&mut |writer| acl.write(writer)));
        let mut sid = |sid: &Option<Sid>| {
            sid.as_ref().map_or(0, |sid| {
                place(&mut |writer| {
                    writer.bytes(sid.bytes());
                })
            })
        };
        let (owner, group) = (sid(&self.owner), sid(&self.group));
        let mut control = self.control | SELF_RELATIVE;
        if self.sacl.is_some() {
            control |= SACL_PRESENT;
        }
        if self.dacl.is_some() {
            control |= DACL_PRESENT;
        }
        let mut writer = Writer::new();
        writer.u8(1).u8(self.resource_manager).u16(control);
        writer.u32(owner).u32(group).u32(sacl).u32(dacl).bytes(&parts.data);
        writer.data
    }

    /// This descriptor, with what it does not say taken from `other`: owner, group, SACL, DACL, each as a whole.
    #[must_use]
    pub fn completed_by(mut self, other: Self) -> Self {
        self.owner = self.owner.or(other.owner);
        self.group = self.group.or(other.group);
        for (present, bits) in [
            (DACL_PRESENT, DACL_AUTO_INHERIT_REQUIRED | DACL_AUTO_INHERITED | DACL_PROTECTED),
            (SACL_PRESENT, SACL_AUTO_INHERIT_REQUIRED | SACL_AUTO_INHERITED | SACL_PROTECTED),
        ] {
            let dacl = present == DACL_PRESENT;
            let mine = if dacl { &self.dacl } else { &self.sacl }.is_some();
            if mine || self.control & present != 0 {
                continue;
            }
            self.control |= other.control & (present | bits);
            if dacl {
                self.dacl.clone_from(&other.dacl);
            } else {
                self.sacl.clone_from(&other.sacl);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_have_a_text_form() {
        for text in ["S-1-5-32-544", "S-1-5-18", "S-1-15-2-1", "S-1-281474976710655-4294967295"] {
            assert_eq!(Sid::parse_text(text).unwrap().to_string(), text);
        }
        for text in ["S-1", "S-1-x", "S-2-5-18", "S-1-5-4294967296", "", "é-1-", "S-1-5-"] {
            assert!(Sid::parse_text(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_null_dacl_is_not_an_empty_one() {
        let everything = SecurityDescriptor { control: DACL_PRESENT, ..Default::default() };
        let nothing = SecurityDescriptor { dacl: Some(Acl::new()), ..Default::default() };
        let again = |descriptor: &SecurityDescriptor| {
            SecurityDescriptor::parse(&descriptor.to_bytes()).unwrap()
        };
        assert_eq!(again(&everything).dacl, None);
        assert_eq!(again(&everything).control & DACL_PRESENT, DACL_PRESENT);
        assert_eq!(again(&nothing).dacl, Some(Acl::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut bytes = bytes;
            if bytes.len() > 4 {
                (bytes[0], bytes[3]) = (1, 0x80);
            }
            if let Ok(descriptor) = SecurityDescriptor::parse(&bytes) {
                let again = SecurityDescriptor::parse(&descriptor.to_bytes()).unwrap();
                prop_assert_eq!(again.to_bytes(), descriptor.to_bytes());
            }
        }
    }
}
