//! A new hive: base block, one bin, a root key and its security cell.

use super::{
    cells::Cells,
    error::HiveError,
    file::{Hive, seal},
    layout::{BASE_BLOCK, NIL, NK_SIZE, ROOT_FLAGS, SK_SIZE, nk, put_u16, put_u32, sk},
    security::MAX_DESCRIPTOR,
    space::Space,
};
use crate::base::filetime::FileTime;

/// What Windows calls the root of its machine hives; nobody looks at it.
const ROOT_NAME: &[u8] = b"ROOT";

/// A self-relative descriptor without owner, group and lists: it grants everything to everyone.
const OPEN_TO_ALL: [u8; 20] = [1, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Hive {
    /// A new hive of version 1.`minor` (3 to 6; anything else becomes 5, the usual one) with a root key of this time and
    /// security descriptor. The bytes depend on the arguments alone. A descriptor that is empty or longer than 64 KiB can not
    /// be stored; one that grants everything takes its place.
    #[must_use]
    pub fn create(minor: u32, time: FileTime, root_security: &[u8]) -> Self {
        let minor = if (3..=6).contains(&minor) { minor } else { 5 };
        let security = match root_security.len() {
            1..=MAX_DESCRIPTOR => root_security,
            _ => &OPEN_TO_ALL,
        };
        let bytes = base_block(minor, time);
        let mut cells = Cells { bytes, bins_size: 0, space: Some(Space::default()) };
        let root =
            lay_out(&mut cells, time, security).expect("two small cells fit into an empty hive");
        put_u32(&mut cells.bytes, 36, root);
        let bins_size = cells.bins_size;
        seal(&mut cells.bytes, 1, bins_size);
        Self::from_parts(cells, root, minor)
    }
}

fn base_block(minor: u32, time: FileTime) -> Vec<u8> {
    let mut bytes = vec![0; BASE_BLOCK];
    bytes[..4].copy_from_slice(b"regf");
    bytes[12..20].copy_from_slice(&time.0.to_le_bytes());
    put_u32(&mut bytes, 20, 1);
    put_u32(&mut bytes, 24, minor);
    put_u32(&mut bytes, 32, 1); // format: direct memory load
    put_u32(&mut bytes, 44, 1); // clustering factor
    bytes[164..168].copy_from_slice(b"rmtm");
    bytes
}

/// Lays out the root key and its security cell; returns the offset of the root.
fn lay_out(cells: &mut Cells, time: FileTime, security: &[u8]) -> Result<u32, HiveError> {
    let root = cells.allocate(NK_SIZE + ROOT_NAME.len())?;
    // The first bin's header carries the time of the base block.
    cells.bytes[BASE_BLOCK + 20..BASE_BLOCK + 28].copy_from_slice(&time.0.to_le_bytes());
    let offset = cells.allocate(SK_SIZE + security.len())?;
    let body = cells.body_mut(offset)?;
    body[..2].copy_from_slice(b"sk");
    put_u32(body, sk::NEXT, offset);
    put_u32(body, sk::PREVIOUS, offset);
    put_u32(body, sk::REFERENCES, 1);
    put_u32(body, sk::SIZE, u32::try_from(security.len()).unwrap_or(0));
    body[SK_SIZE..SK_SIZE + security.len()].copy_from_slice(security);
    let body = cells.body_mut(root)?;
    body[..2].copy_from_slice(b"nk");
    put_u16(body, nk::FLAGS, ROOT_FLAGS);
    body[nk::TIME..nk::TIME + 8].copy_from_slice(&time.0.to_le_bytes());
    for field in [nk::PARENT, nk::SUBKEY_LIST, nk::VOLATILE_LIST, nk::VALUE_LIST, nk::CLASS] {
        put_u32(body, field, NIL);
    }
    put_u32(body, nk::SECURITY, offset);
    put_u16(body, nk::NAME_LENGTH, u16::try_from(ROOT_NAME.len()).unwrap_or(0));
    body[NK_SIZE..NK_SIZE + ROOT_NAME.len()].copy_from_slice(ROOT_NAME);
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::Limits;

    #[test]
    fn a_new_hive_is_sound_and_always_the_same() {
        let hive = Hive::create(5, FileTime(7), b"security descriptor");
        assert_eq!(hive.check(), []);
        assert_eq!(hive.root().0, 0x20);
        let bytes = hive.to_bytes();
        assert_eq!(bytes, Hive::create(5, FileTime(7), b"security descriptor").into_bytes());
        assert_eq!(bytes.len(), 8192);
        let again = Hive::parse(bytes, &Limits::default()).unwrap();
        assert_eq!(again.check(), []);
        assert_eq!(again.version(), (1, 5));
        assert_eq!(again.security(again.root()).unwrap(), b"security descriptor");
        assert_eq!(again.key_time(again.root()).unwrap(), FileTime(7));
        assert!(again.subkeys(again.root()).unwrap().is_empty());
    }

    #[test]
    fn impossible_arguments_still_give_a_sound_hive() {
        for security in [&[][..], &vec![1; MAX_DESCRIPTOR + 1], &vec![1; MAX_DESCRIPTOR]] {
            let hive = Hive::create(9, FileTime(0), security);
            assert_eq!(hive.version(), (1, 5));
            assert_eq!(hive.check(), []);
        }
    }
}
