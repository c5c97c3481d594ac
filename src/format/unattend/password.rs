//! Passwords in the form that System Image Manager calls hidden: base64 of UTF-16, little end first, of the password and the name of its element.
//!
//! ```xml
//! <AdministratorPassword> <Value>...</Value> <PlainText>false</PlainText> </AdministratorPassword>
//! ```
//!
//! It hides nothing from anybody who looks; it keeps a password from being read over a shoulder. Written it is by [`crate::base::secret`], when the output is.

/// Elements whose password can be written so. Credentials, product keys and machine passwords cannot.
pub const HIDDEN_ELEMENTS: [&str; 3] =
    ["Password", "AdministratorPassword", "OfflineAdministratorPassword"];

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The password behind a hidden form; `None` when the text is not one for the element of this name.
#[must_use]
pub fn reveal(value: &str, element: &str) -> Option<String> {
    let digits = value.trim_end_matches('=').as_bytes();
    if !value.len().is_multiple_of(4) || value.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len());
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let digit = ALPHABET.iter().position(|letter| letter == digit)?;
        bits = (bits << 6 | u32::try_from(digit).ok()?) & 0xfff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
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
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for digit in 0..4 {
                let index = (bits >> (18 - 6 * digit)) & 0x3f;
                let letter = if digit <= group.len() { ALPHABET[index as usize] } else { b'=' };
                text.push(char::from(letter));
            }
        }
        text
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
