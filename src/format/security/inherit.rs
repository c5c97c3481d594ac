//! What a new file or folder gets from its parent, as Windows computes it (`SeAssignSecurity`, MS-DTYP 2.5.3.4).
//!
//! - An entry goes to a new folder when it is container-inherit, and to a new file when it is object-inherit. An entry that is object-inherit only
//!   goes to a new folder as inherit-only, for the files below. No-propagate entries lose their inheritance flags on the way (and
//!   go nowhere when they would only be passed on).
//! - In what takes effect, `CREATOR OWNER` and `CREATOR GROUP` become the owner and group, and generic rights become those of files. A
//!   folder keeps the original beside it as an inherit-only entry, for what is below.
//! - What was inherited is marked: `INHERITED_ACE` in the entry, `SE_DACL_AUTO_INHERITED` in the descriptor, as the file systems of
//!   today's Windows do.
//!
//! The creator is the one that Windows Setup and servicing work as: owner `BUILTIN\Administrators`, group `SYSTEM`. Where the parent passes no
//! access entries on, the new file gets the default of such a creator: full access for both.

use super::descriptor::{
    Ace, Acl, CONTAINER_INHERIT, DACL_AUTO_INHERITED, INHERIT_ONLY, INHERITED, NO_PROPAGATE,
    OBJECT_INHERIT, SACL_AUTO_INHERITED, SecurityDescriptor, Sid,
};

/// Full access to a file.
const FILE_ALL: u32 = 0x001f_01ff;
const CREATOR: u64 = 3;

/// `BUILTIN\Administrators`.
#[must_use]
pub fn administrators() -> Sid {
    Sid::new(5, &[32, 544]).expect("two parts")
}

/// `NT AUTHORITY\SYSTEM`.
#[must_use]
pub fn local_system() -> Sid {
    Sid::new(5, &[18]).expect("one part")
}

/// The descriptor of a new file, or folder, in a folder with the descriptor `parent`.
#[must_use]
pub fn inherit(parent: &SecurityDescriptor, is_directory: bool) -> SecurityDescriptor {
    let (owner, group) = (administrators(), local_system());
    let list = |acl: &Option<Acl>| {
        let acl = acl.as_ref()?;
        let pass = |ace: &Ace| pass_on(ace, is_directory, &owner, &group);
        let aces: Vec<Ace> = acl.aces.iter().flat_map(pass).collect();
        (!aces.is_empty()).then_some(Acl { revision: acl.revision, aces })
    };
    let (sacl, dacl) = (list(&parent.sacl), list(&parent.dacl));
    let mut control = 0;
    if sacl.is_some() {
        control |= SACL_AUTO_INHERITED;
    }
    if dacl.is_some() {
        control |= DACL_AUTO_INHERITED;
    }
    let default = || Acl {
        revision: 2,
        aces: vec![Ace::new(0, 0, FILE_ALL, &owner), Ace::new(0, 0, FILE_ALL, &group)],
    };
    let dacl = Some(dacl.unwrap_or_else(default));
    SecurityDescriptor {
        control,
        resource_manager: 0,
        owner: Some(owner.clone()),
        group: Some(group.clone()),
        sacl,
        dacl,
    }
}

/// What becomes of one entry of the parent: nothing, one entry, or one that takes effect and one to pass on.
fn pass_on(ace: &Ace, is_directory: bool, owner: &Sid, group: &Sid) -> Vec<Ace> {
    let (objects, containers) =
        (ace.flags & OBJECT_INHERIT != 0, ace.flags & CONTAINER_INHERIT != 0);
    let propagates = ace.flags & NO_PROPAGATE == 0;
    // Flags that are not about inheritance (audit of success and failure) stay.
    let other = ace.flags & !(OBJECT_INHERIT | CONTAINER_INHERIT | NO_PROPAGATE | INHERIT_ONLY);
    let passed = other | INHERITED;
    let further = ace.flags & (OBJECT_INHERIT | CONTAINER_INHERIT);
    let effective = effective_body(ace, owner, group);
    let original = |flags: u8| Ace { kind: ace.kind, flags, body: ace.body.clone() };
    if !is_directory {
        let entry = Ace { kind: ace.kind, flags: passed, body: effective };
        return if objects { vec![entry] } else { Vec::new() };
    }
    if !containers {
        let entry = original(passed | OBJECT_INHERIT | INHERIT_ONLY);
        return if objects && propagates { vec![entry] } else { Vec::new() };
    }
    if !propagates {
        return vec![Ace { kind: ace.kind, flags: passed, body: effective }];
    }
    if effective == ace.body {
        return vec![original(passed | further)];
    }
    vec![
        Ace { kind: ace.kind, flags: passed, body: effective },
        original(passed | further | INHERIT_ONLY),
    ]
}

/// The body with the creator's identities and the rights of files in place.
fn effective_body(ace: &Ace, owner: &Sid, group: &Sid) -> Vec<u8> {
    let (Some(rights), Some((sid, rest))) = (ace.rights(), ace.sid()) else {
        return ace.body.clone();
    };
    let is = |part| Sid::new(CREATOR, &[part]).is_some_and(|creator| creator == sid);
    let sid = match () {
        () if is(0) => owner,
        () if is(1) => group,
        () => &sid,
    };
    // A label's mask is a policy, not rights.
    let rights = if ace.kind == 0x11 { rights } else { file_rights(rights) };
    let mut body = Ace::new(ace.kind, 0, rights, sid).body;
    body.extend_from_slice(rest);
    body
}

/// Generic rights as rights of files.
fn file_rights(rights: u32) -> u32 {
    const GENERIC: [(u32, u32); 4] = [
        (0x8000_0000, 0x0012_0089),
        (0x4000_0000, 0x0012_0116),
        (0x2000_0000, 0x0012_00a0),
        (0x1000_0000, FILE_ALL),
    ];
    GENERIC
        .iter()
        .filter(|(bit, _)| rights & bit != 0)
        .fold(rights & 0x0fff_ffff, |rights, (_, mapped)| rights | mapped)
}

#[cfg(test)]
mod tests {
    use super::{
        super::sddl::{parse_sddl, to_sddl},
        *,
    };

    fn inherited(parent: &str, is_directory: bool) -> String {
        to_sddl(&inherit(&parse_sddl(parent).unwrap(), is_directory))
    }

    /// The descriptors of `C:\Program Files`-like folders and of what is made in them, as Windows shows them.
    #[test]
    fn entries_go_where_their_flags_say() {
        let cases = [
            ("D:PAI(A;OICI;FA;;;BA)", "D:AI(A;OICIID;FA;;;BA)", "D:AI(A;ID;FA;;;BA)"),
            ("D:(A;CI;FA;;;BA)(A;;FR;;;BU)", "D:AI(A;CIID;FA;;;BA)", "D:(A;;FA;;;BA)(A;;FA;;;SY)"),
            ("D:(A;OI;FA;;;BA)", "D:AI(A;OIIOID;FA;;;BA)", "D:AI(A;ID;FA;;;BA)"),
            ("D:(A;OINP;FA;;;BA)(A;CI;FR;;;BU)", "D:AI(A;CIID;FR;;;BU)", "D:AI(A;ID;FA;;;BA)"),
            ("D:(A;OICINP;FA;;;BA)", "D:AI(A;ID;FA;;;BA)", "D:AI(A;ID;FA;;;BA)"),
            (
                "D:(A;OICIIO;GA;;;CO)",
                "D:AI(A;ID;FA;;;BA)(A;OICIIOID;GA;;;CO)",
                "D:AI(A;ID;FA;;;BA)",
            ),
            (
                "D:(A;OICIIO;GXGR;;;AC)",
                "D:AI(A;ID;0x1200a9;;;AC)(A;OICIIOID;GXGR;;;AC)",
                "D:AI(A;ID;0x1200a9;;;AC)",
            ),
            ("D:", "D:(A;;FA;;;BA)(A;;FA;;;SY)", "D:(A;;FA;;;BA)(A;;FA;;;SY)"),
            (
                "D:(A;OICI;FA;;;SY)S:(AU;OICISAFA;FA;;;WD)",
                "D:AI(A;OICIID;FA;;;SY)S:AI(AU;OICIIDSAFA;FA;;;WD)",
                "D:AI(A;ID;FA;;;SY)S:AI(AU;IDSAFA;FA;;;WD)",
            ),
        ];
        for (parent, folder, file) in cases {
            assert_eq!(inherited(parent, true), format!("O:BAG:SY{folder}"), "folder in {parent}");
            assert_eq!(inherited(parent, false), format!("O:BAG:SY{file}"), "file in {parent}");
        }
    }
}
