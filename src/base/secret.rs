//! Secrets that a recipe names and does not hold: which environment variable has it, where in a text it goes, and how it is written there.
//!
//! Until the last moment of a build a secret is a *placeholder*: in changesets, keys, the store, the lock, the plan, logs. Placeholders stand between two
//! characters that Unicode keeps out of all texts (U+FDD0 and U+FDD1, noncharacters, which XML allows), and only a [`Template`] has them: whatever
//! a recipe or a file says, it is no placeholder. The values ([`Secrets`]) come from the caller and show in no debug output and no error.

use std::{collections::BTreeMap, fmt, io, sync::Arc};

use super::{base64, read_at::ReadAt};

/// Begins a placeholder.
const OPEN: char = '\u{fdd0}';
/// Ends a placeholder.
const CLOSE: char = '\u{fdd1}';
/// The word of each form.
const TEXT: &str = "text";
const XML: &str = "xml";
const PASSWORD: &str = "password";

/// A secret by the environment variable that holds it.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// The name of the variable.
    pub env: String,
}

/// How a secret is written where it belongs.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum SecretForm {
    /// As it is.
    Text,
    /// As the text of an XML element or attribute.
    Xml,
    /// As answer files hide passwords: base64 of UTF-16LE of the password and, right behind it, the name of the element (`Password`,
    /// `AdministratorPassword`). Not a protection: whoever has the file has the password.
    HiddenPassword {
        /// The name of the element.
        element: String,
    },
}

impl SecretRef {
    /// The secret in the environment variable `env`; `None` when no variable has such a name: letters, digits and `_`, and no digit first.
    #[must_use]
    pub fn new(env: &str) -> Option<Self> {
        let is_word = env.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let starts = env.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (is_word && starts).then(|| Self { env: env.to_owned() })
    }

    /// What stands for the secret in the text of a [`Template`].
    #[must_use]
    pub fn placeholder(&self, form: &SecretForm) -> String {
        let env = &self.env;
        match form {
            SecretForm::Text => format!("{OPEN}{TEXT}:{env}{CLOSE}"),
            SecretForm::Xml => format!("{OPEN}{XML}:{env}{CLOSE}"),
            SecretForm::HiddenPassword { element } => {
                format!("{OPEN}{PASSWORD}:{element}:{env}{CLOSE}")
            }
        }
    }

    /// The secret and form that a text is the placeholder of.
    #[must_use]
    pub fn of_placeholder(text: &str) -> Option<(Self, SecretForm)> {
        let inner = text.strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
        let (form, rest) = inner.split_once(':')?;
        let (form, env) = match form {
            TEXT => (SecretForm::Text, rest),
            XML => (SecretForm::Xml, rest),
            PASSWORD => {
                let (element, env) = rest.split_once(':')?;
                (SecretForm::HiddenPassword { element: element.to_owned() }, env)
            }
            _ => return None,
        };
        Some((Self::new(env)?, form))
    }
}

/// True for text that can have no placeholder in it. What people write into a template must be such.
#[must_use]
pub fn is_free_of_placeholders(text: &str) -> bool {
    !text.contains([OPEN, CLOSE])
}

/// `text` for a reader: each placeholder in it as `{secret NAME}`.
#[must_use]
pub fn readable(text: &str) -> String {
    let parts = Template(text.to_owned());
    let word = |part: Part<'_>| match part {
        Part::Text(text) => text.to_owned(),
        Part::Secret(secret, _) => format!("{{secret {}}}", secret.env),
    };
    parts.parts().map(word).collect()
}

/// A text with placeholders of secrets in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Template(String);

impl Template {
    /// A text whose placeholders [`SecretRef::placeholder`] made.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, with its placeholders.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The secrets in it, in order.
    pub fn secrets(&self) -> impl Iterator<Item = SecretRef> {
        self.parts().filter_map(|part| match part {
            Part::Secret(secret, _) => Some(secret),
            Part::Text(_) => None,
        })
    }

    /// The text with the values of `secrets`.
    ///
    /// # Errors
    /// When a value is missing, or cannot be written where it belongs.
    pub fn reveal(&self, secrets: &Secrets) -> Result<SecretText, SecretError> {
        let mut text = String::new();
        for part in self.parts() {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Secret(secret, form) => {
                    text.push_str(&secrets.value(&secret)?.written(&secret, &form)?);
                }
            }
        }
        Ok(SecretText(text))
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = match rest.find(OPEN) {
                Some(0) => rest.find(CLOSE).map_or(rest.len(), |close| close + CLOSE.len_utf8()),
                Some(open) => open,
                None => rest.len(),
            };
            let (part, behind) = rest.split_at(end);
            rest = behind;
            Some(match SecretRef::of_placeholder(part) {
                Some((secret, form)) => Part::Secret(secret, form),
                None => Part::Text(part),
            })
        })
    }
}

enum Part<'a> {
    Text(&'a str),
    Secret(SecretRef, SecretForm),
}

/// The values of secrets, by the variables that hold them. Nothing shows a value: it is asked for to be put into an image, and only there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, SecretText>);

impl Secrets {
    /// No secrets.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: Secrets = Secrets(BTreeMap::new());
        &NONE
    }

    /// Adds the value of the variable `env`.
    pub fn insert(&mut self, env: impl Into<String>, value: String) {
        self.0.insert(env.into(), SecretText(value));
    }

    /// True when the variable `env` has a value: an empty one is none, for what runs builds often sets variables that it does not have to nothing.
    #[must_use]
    pub fn has(&self, env: &str) -> bool {
        self.0.get(env).is_some_and(|value| !value.0.is_empty())
    }

    fn value(&self, secret: &SecretRef) -> Result<&SecretText, SecretError> {
        let missing = || SecretError::new(secret, "it is not set, or empty");
        self.0.get(&secret.env).filter(|value| !value.0.is_empty()).ok_or_else(missing)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A text with secrets in it; its debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself, to be put into an image.
    #[must_use]
    pub fn into_inner(self) -> String {
        self.0
    }

    fn written(&self, secret: &SecretRef, form: &SecretForm) -> Result<String, SecretError> {
        let value = &self.0;
        Ok(match form {
            SecretForm::Text if value.contains('\0') => {
                return Err(SecretError::new(secret, "it holds a NUL, at which text ends"));
            }
            SecretForm::Text => value.clone(),
            SecretForm::Xml => escaped(value)
                .ok_or_else(|| SecretError::new(secret, "it holds a character that XML cannot"))?,
            SecretForm::HiddenPassword { element } => {
                let units = value.encode_utf16().chain(element.encode_utf16());
                base64::encode(&units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
            }
        })
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(..)")
    }
}

/// Content with secrets in it; its debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(pub Arc<[u8]>);

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretBytes(..)")
    }
}

impl ReadAt for SecretBytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, buffer)
    }
}

/// A secret that cannot be put where it belongs. Its value is not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {env}: {what}")]
pub struct SecretError {
    /// The variable.
    pub env: String,
    /// What is wrong with it.
    pub what: &'static str,
}

impl SecretError {
    fn new(secret: &SecretRef, what: &'static str) -> Self {
        Self { env: secret.env.clone(), what }
    }
}

/// The text as an XML document holds it; `None` when it cannot hold it.
fn escaped(text: &str) -> Option<String> {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => return None,
            other => escaped.push(other),
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(value: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert("PW", value.to_owned());
        secrets
    }

    fn secret() -> SecretRef {
        SecretRef::new("PW").unwrap()
    }

    #[test]
    fn a_reader_sees_names() {
        let text = format!("a {} b", secret().placeholder(&SecretForm::Xml));
        assert_eq!(readable(&text), "a {secret PW} b");
        assert_eq!(readable("plain"), "plain");
    }

    #[test]
    fn each_form_writes_the_value_as_it_belongs_there() {
        let hidden = |element: &str| SecretForm::HiddenPassword { element: element.to_owned() };
        let revealed = |form: &SecretForm, value: &str| {
            let text = format!("<a>{}</a>", secret().placeholder(form));
            Template::new(text).reveal(&secrets(value)).map(SecretText::into_inner)
        };
        assert_eq!(revealed(&SecretForm::Text, "a&b").unwrap(), "<a>a&b</a>");
        assert_eq!(revealed(&SecretForm::Xml, "a&<\"\n").unwrap(), "<a>a&amp;&lt;&quot;&#10;</a>");
        // As Windows SIM hides `pw` in an AutoLogon: checked with a decoder of another make.
        assert_eq!(
            revealed(&hidden("Password"), "pw").unwrap(),
            "<a>cAB3AFAAYQBzAHMAdwBvAHIAZAA=</a>"
        );
        assert!(revealed(&SecretForm::Xml, "a\u{1}").is_err());
        assert!(revealed(&SecretForm::Text, "a\0").is_err());
    }

    #[test]
    fn nothing_but_a_whole_placeholder_is_one_and_a_value_is_not_looked_into() {
        let inner = secret().placeholder(&SecretForm::Text);
        let odd = format!("{OPEN} {OPEN}text:9{CLOSE} text:PW {OPEN}text:PW");
        let template = Template::new(odd.clone());
        assert_eq!(template.reveal(&secrets("v")).unwrap().into_inner(), odd);
        assert_eq!(template.secrets().count(), 0);
        let template = Template::new(format!("{inner}{inner}"));
        assert_eq!(template.reveal(&secrets(&inner)).unwrap().into_inner(), template.text());
        assert_eq!(template.secrets().count(), 2);
        assert!(!is_free_of_placeholders(&inner) && is_free_of_placeholders("text:PW"));
    }

    #[test]
    fn a_value_shows_in_no_debug_output_and_no_error() {
        let secrets = secrets("hunter2\u{1}");
        let template = Template::new(secret().placeholder(&SecretForm::Xml));
        let error = template.reveal(&secrets).unwrap_err();
        let text = Template::new(secret().placeholder(&SecretForm::Text)).reveal(&secrets);
        let bytes = SecretBytes(b"hunter2".as_slice().into());
        let all = format!("{secrets:?} {error:?} {error} {text:?} {bytes:?}");
        assert!(
            !all.contains("hunter2") && !all.contains("104, 117") && all.contains("PW"),
            "{all}"
        );
        assert!(!Secrets::default().has("PW") && secrets.has("PW"));
        let empty = template.reveal(&self::secrets("")).unwrap_err();
        assert_eq!(empty.to_string(), "the environment variable PW: it is not set, or empty");
    }

    #[test]
    fn names_of_variables_are_words() {
        assert!(SecretRef::new("_A1").is_some());
        for name in ["", "1A", "A B", "A=B", "A\u{fdd1}", "A:B"] {
            assert!(SecretRef::new(name).is_none(), "{name:?}");
        }
    }
}
