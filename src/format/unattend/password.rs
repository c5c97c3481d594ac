//! Passwords in the form that System Image Manager calls hidden: base64 of UTF-16, little end first, of the password and the name of its element.
//!
//! ```xml
//! <AdministratorPassword> <Value>...</Value> <PlainText>false</PlainText> </AdministratorPassword>
//! ```
//!
//! It hides nothing from anybody who looks; it keeps a password from being read over a shoulder. Written it is by [`crate::base::secret`], when the output is.

use crate::base::base64;

/// Elements whose password can be written so. Credentials, product keys and machine passwords cannot.
pub const HIDDEN_ELEMENTS: [&str; 3] =
    ["Password", "AdministratorPassword", "OfflineAdministratorPassword"];

/// The password behind a hidden form; `None` when the text is not one for the element of this name.
#[must_use]
pub fn reveal(value: &str, element: &str) -> Option<String> {
    let bytes = base64::decode(value)?;
    if bytes.len() % 2 != 0 {
        return None;
    }
    let units: Vec<u16> =
        bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).ok()?;
    Some(text.strip_suffix(element)?.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The hidden form of a password in the element of this name.
    fn hide(password: &str, element: &str) -> String {
        let units = password.encode_utf16().chain(element.encode_utf16());
        let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
        base64::encode(&bytes)
    }

    #[test]
    fn a_known_value_is_revealed() {
        // `password` with the suffix `Password`, by hand.
        let value = "cABhAHMAcwB3AG8AcgBkAFAAYQBzAHMAdwBvAHIAZAA=";
        assert_eq!(hide("password", "Password"), value);
        assert_eq!(reveal(value, "Password").as_deref(), Some("password"));
        for wrong in ["", "password", "cABh", "cABhA===", "cA\u{e9}h"] {
            assert_eq!(reveal(wrong, "Password"), None, "{wrong}");
        }
        assert_eq!(reveal(value, "AdministratorPassword"), None);
    }

    proptest! {
        #[test]
        fn what_is_hidden_is_revealed(password in ".{0,20}", text in "[A-Za-z=+/ ]{0,12}") {
            let hidden = hide(&password, "Password");
            prop_assert_eq!(reveal(&hidden, "Password"), Some(password));
            drop(reveal(&text, "Password"));
        }
    }
}
