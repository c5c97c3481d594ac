//! A place in an image's XML as wimlib's `--image-property` writes it.
//!
//! ```text
//! WINDOWS/VERSION/BUILD            element BUILD in element VERSION in element WINDOWS
//! WINDOWS/LANGUAGES/LANGUAGE[2]    the second LANGUAGE element there
//! ```

use std::fmt;

use crate::format::wim::Element;

/// Most elements of one name that a number in brackets may ask for.
const MOST: usize = 1000;
/// Deepest path.
const DEEPEST: usize = 16;

/// Why a property cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// Not the name of an XML element.
    #[error("`{0}` is not the name of an XML element")]
    Name(String),
    /// A number in brackets that is none.
    #[error("`{0}`: in brackets stands a number from 1 to {MOST}")]
    Number(String),
    /// A path with too many steps.
    #[error("the path has more than {DEEPEST} elements")]
    Deep,
    /// A number that would leave a gap.
    #[error("there is no {element} number {number}: there are {count}, so {next} is the next")]
    Gap {
        /// The element.
        element: String,
        /// What was asked for.
        number: usize,
        /// How many there are.
        count: usize,
        /// The next one.
        next: usize,
    },
    /// An element that holds others cannot hold text.
    #[error("{0} holds other elements; name one of these")]
    HasElements(String),
}

/// A path to an element below `<IMAGE>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyPath {
    /// Names with their numbers, from 1; never empty.
    steps: Vec<(String, usize)>,
}

impl PropertyPath {
    /// Reads a path.
    ///
    /// # Errors
    /// When a step is not an element's name, with or without a number in brackets.
    pub fn parse(text: &str) -> Result<Self, PropertyError> {
        let steps: Vec<_> = text.split('/').map(step).collect::<Result<_, _>>()?;
        if steps.len() > DEEPEST {
            return Err(PropertyError::Deep);
        }
        Ok(Self { steps })
    }

    /// The path to an element directly below `<IMAGE>`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self { steps: vec![(name.to_owned(), 1)] }
    }

    /// True when it leads to the (first) element of that name directly below `<IMAGE>`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        matches!(self.steps.as_slice(), [(only, 1)] if only == name)
    }
}

impl fmt::Display for PropertyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, number)) in self.steps.iter().enumerate() {
            formatter.write_str(if place == 0 { "" } else { "/" })?;
            formatter.write_str(name)?;
            if *number > 1 {
                write!(formatter, "[{number}]")?;
            }
        }
        Ok(())
    }
}

fn step(text: &str) -> Result<(String, usize), PropertyError> {
    let (name, number) = match text.split_once('[') {
        None => (text, 1),
        Some((name, rest)) => {
            let number = rest
                .strip_suffix(']')
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|number| (1..=MOST).contains(number))
                .ok_or_else(|| PropertyError::Number(text.to_owned()))?;
            (name, number)
        }
    };
    let starts = |character: char| character.is_alphabetic() || character == '_';
    let goes_on =
        |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    if !name.starts_with(starts) || !name.chars().all(goes_on) {
        return Err(PropertyError::Name(name.to_owned()));
    }
    Ok((name.to_owned(), number))
}

/// Sets the text of the element that `path` leads to; elements that lack are made. An empty text takes the element out.
///
/// # Errors
/// When a number would leave a gap, or the element holds others.
pub fn set(image: &mut Element, path: &PropertyPath, text: &str) -> Result<(), PropertyError> {
    if text.is_empty() {
        remove(image, &path.steps);
        return Ok(());
    }
    let mut element = image;
    for (name, number) in &path.steps {
        let count = element.children().filter(|child| child.name() == name).count();
        if *number > count + 1 {
            let (element, number) = (name.clone(), *number);
            return Err(PropertyError::Gap { element, number, count, next: count + 1 });
        }
        if *number > count {
            element.push(Element::new(name.clone()));
        }
        element = element
            .children_mut()
            .filter(|child| child.name() == name)
            .nth(*number - 1)
            .expect("it is there or was just made");
    }
    if element.children().next().is_some() {
        return Err(PropertyError::HasElements(path.to_string()));
    }
    element.set_text(&[], text);
    Ok(())
}

/// The text at `path`; `None` when nothing is there.
#[must_use]
pub fn get<'xml>(image: &'xml Element, path: &PropertyPath) -> Option<&'xml str> {
    path.steps
        .iter()
        .try_fold(image, |element, (name, number)| {
            element.children().filter(|child| child.name() == name).nth(number - 1)
        })?
        .text(&[])
}

fn remove(element: &mut Element, steps: &[(String, usize)]) {
    let Some(((name, number), rest)) = steps.split_first() else { return };
    if rest.is_empty() {
        element.remove_nth(name, number - 1);
        return;
    }
    let found = element.children_mut().filter(|child| child.name() == name).nth(*number - 1);
    if let Some(found) = found {
        remove(found, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_all(pairs: &[(&str, &str)]) -> Element {
        let mut image = Element::new("IMAGE");
        for (path, text) in pairs {
            set(&mut image, &PropertyPath::parse(path).unwrap(), text).unwrap();
        }
        image
    }

    fn at(image: &Element, path: &str) -> Option<String> {
        get(image, &PropertyPath::parse(path).unwrap()).map(str::to_owned)
    }

    #[test]
    fn nested_and_numbered_elements_are_set_and_removed() {
        let mut image = set_all(&[
            ("NAME", "one"),
            ("WINDOWS/VERSION/BUILD", "7600"),
            ("WINDOWS/LANGUAGES/LANGUAGE", "en-US"),
            ("WINDOWS/LANGUAGES/LANGUAGE[2]", "de-DE"),
            ("WINDOWS/LANGUAGES/LANGUAGE[3]", "fr-FR"),
            ("WINDOWS/LANGUAGES/DEFAULT", "en-US"),
            ("WINDOWS/LANGUAGES/LANGUAGE[2]", "nl-NL"),
        ]);
        assert_eq!(at(&image, "WINDOWS/VERSION/BUILD").as_deref(), Some("7600"));
        assert_eq!(at(&image, "WINDOWS/LANGUAGES/LANGUAGE[2]").as_deref(), Some("nl-NL"));
        set(&mut image, &PropertyPath::parse("WINDOWS/LANGUAGES/LANGUAGE[2]").unwrap(), "")
            .unwrap();
        assert_eq!(at(&image, "WINDOWS/LANGUAGES/LANGUAGE[2]").as_deref(), Some("fr-FR"));
        assert_eq!(at(&image, "WINDOWS/LANGUAGES/LANGUAGE[3]"), None);
        assert_eq!(at(&image, "WINDOWS/LANGUAGES/DEFAULT").as_deref(), Some("en-US"));
        set(&mut image, &PropertyPath::parse("NAME").unwrap(), "").unwrap();
        assert_eq!(at(&image, "NAME"), None);
        set(&mut image, &PropertyPath::parse("NOT/THERE").unwrap(), "").unwrap();
        assert!(image.child("NOT").is_none(), "nothing is made to be taken out");
    }

    #[test]
    fn bad_paths_say_what_is_wrong() {
        let said = |path: &str| PropertyPath::parse(path).unwrap_err().to_string();
        assert!(said("").contains("not the name"));
        assert!(said("A//B").contains("not the name"));
        assert!(said("1A").contains("not the name"));
        assert!(said("A[0]").contains("a number from 1"));
        assert!(said("A[x]").contains("a number from 1"));
        assert!(said(&"A/".repeat(20)).contains("not the name"));
        let mut image = set_all(&[("A/B", "x")]);
        let mut set = |path: &str| {
            set(&mut image, &PropertyPath::parse(path).unwrap(), "y").unwrap_err().to_string()
        };
        assert!(set("A[3]").contains("2 is the next"));
        assert!(set("A").contains("other elements"));
        assert_eq!(PropertyPath::parse("A/B[2]").unwrap().to_string(), "A/B[2]");
    }
}
