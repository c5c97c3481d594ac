//! Patterns for names: `*` is any text, `?` one character, case does not matter; and names that are nearly meant.

/// Names beyond this many are not compared for likeness.
const MOST_COMPARED: usize = 20_000;
/// Texts longer than this are not compared for likeness.
const LONGEST: usize = 160;
/// As many names are offered.
const OFFERED: usize = 3;

/// True when `pattern` means `name`. Time grows with the product of their lengths at most.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let (mut at, mut here) = (0, 0);
    // The last `*`, and how far what it stands for reaches.
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, here));
                at += 1;
            }
            Some('?') => (at, here) = (at + 1, here + 1),
            Some(character) if *character == name[here] => (at, here) = (at + 1, here + 1),
            _ => match star {
                Some((place, reach)) => {
                    star = Some((place, reach + 1));
                    (at, here) = (place + 1, reach + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|character| *character == '*')
}

/// The names that are most like what `pattern` means, the likest first.
pub(super) fn near<'a>(pattern: &str, names: &[&'a str]) -> Vec<&'a str> {
    let open = pattern.contains(['*', '?']);
    // What stands before the first wildcard is what a person knows of the name.
    let known: String =
        pattern.split(['*', '?']).next().unwrap_or_default().to_lowercase().chars().collect();
    let length = known.chars().count();
    if length < 3 || known.len() > LONGEST {
        return Vec::new();
    }
    let most = 1 + length / 4;
    let mut found: Vec<(usize, &str)> = names
        .iter()
        .take(MOST_COMPARED)
        .filter(|name| name.len() <= LONGEST)
        .filter_map(|name| {
            let folded = name.to_lowercase();
            let compared: String = match open {
                true => folded.chars().take(length).collect(),
                false => folded,
            };
            if compared.chars().count().abs_diff(length) > most {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&known, &compared);
            (distance <= most).then_some((distance, *name))
        })
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_mean_what_people_expect() {
        for (pattern, name, is_meant) in [
            ("SMB1Protocol", "smb1protocol", true),
            ("SMB1Protocol", "SMB1Protocol-Server", false),
            ("SMB1*", "SMB1Protocol-Server", true),
            ("*smb*server", "SMB1Protocol-Server", true),
            ("Package_for_KB506683?~*", "Package_for_KB5066835~31bf~amd64~~1", true),
            ("Package_for_KB506683?~*", "Package_for_KB50668355~31bf~amd64~~1", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a**b", "ab", true),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xaybz", false),
            ("Größe", "GRÖßE", true),
        ] {
            assert_eq!(matches(pattern, name), is_meant, "{pattern} {name}");
        }
        // No pattern takes forever.
        assert!(!matches(&"*a".repeat(300), &"a".repeat(299)));
    }

    #[test]
    fn near_names_are_offered() {
        let names = ["SMB1Protocol", "TelnetClient", "Package_for_KB5063878~31bf~amd64~~1"];
        assert_eq!(near("SMB1Protcol", &names), ["SMB1Protocol"]);
        assert_eq!(near("Package_for_KB5066835~*", &names), [names[2]]);
        assert_eq!(near("*", &names), [""; 0]);
        assert_eq!(near("Printing", &names), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_name_means_itself_and_stars_mean_anything(name in "[a-zA-Z0-9~._-]{0,20}", cut in 0..20_usize) {
            prop_assert!(matches(&name, &name));
            prop_assert!(matches(&name.to_uppercase(), &name));
            let cut = cut.min(name.len());
            let star = format!("{}*", &name[..cut]);
            prop_assert!(matches(&star, &name));
            let questions = "?".repeat(name.len());
            prop_assert!(matches(&questions, &name));
        }
    }
}
