//! What a step did, for a reader: counts, bytes, and the first changes in words.

use super::model::{ChangePart, Changes, SHOWN};
use crate::image::{Change, Changeset};

/// What `changeset` did.
#[must_use]
pub(super) fn describe(changeset: &Changeset) -> Changes {
    let mut changes = Changes::default();
    for change in &changeset.0 {
        *changes.counts.entry(change.kind().to_owned()).or_default() += 1;
        changes.bytes = changes.bytes.saturating_add(change.bytes());
    }
    let part = |change: &Change| ChangePart {
        kind: change.kind().to_owned(),
        place: change.place(),
        now: change.now(),
    };
    changes.first = changeset.0.iter().take(SHOWN).map(part).collect();
    changes.more = changeset.0.len().saturating_sub(SHOWN) as u64;
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{name::Name, ntpath::NtPath},
        image::{HiveId, changeset::FileContent},
    };

    #[test]
    fn many_changes_are_counted_and_the_first_shown() {
        let (hive, key) = (HiveId::Software, vec![Name::from("Contoso")]);
        let path = NtPath::parse("a.txt").unwrap();
        let put = Change::PutFile {
            path,
            content: FileContent::Inline(vec![0; 5]),
            attributes: 0x20,
            security: None,
            last_write: None,
        };
        let create = Change::CreateKey { hive, key };
        let mut all = vec![put];
        all.extend(std::iter::repeat_n(create, SHOWN + 2));
        let changes = describe(&Changeset(all));
        assert_eq!((changes.first.len(), changes.more, changes.bytes), (SHOWN, 3, 5));
        assert_eq!(changes.counts["create-key"], SHOWN as u64 + 2);
        assert_eq!(changes.first[0].place, r"\a.txt");
        assert_eq!(changes.first[1].place, r"HKLM\SOFTWARE\Contoso");
    }
}
