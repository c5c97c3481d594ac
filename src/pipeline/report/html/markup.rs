//! Markup that nothing it says can break out of.
//!
//! Names of elements and attributes, style and program are `&'static str`: they come from this program. Everything else goes through [`escape`], for text and
//! attributes alike, so that a recipe's title cannot open an element, end an attribute, or turn the direction of the text around it.

use std::fmt::Write as _;

/// Attributes of an element. One of [`FLAGS`] stands without a value.
pub(super) type Attributes<'a> = [(&'static str, &'a str)];

/// Attributes that are there or not.
const FLAGS: [&str; 3] = ["hidden", "open", "defer"];

/// A page being written.
#[derive(Debug, Default)]
pub(super) struct Markup {
    text: String,
}

impl Markup {
    /// An element and what is in it.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &Attributes<'_>,
        inside: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes, ">");
        inside(self);
        self.close(name);
    }

    /// An element that holds a text.
    pub(super) fn leaf(&mut self, name: &'static str, attributes: &Attributes<'_>, text: &str) {
        self.element(name, attributes, |markup| markup.text(text));
    }

    /// An element of HTML that never holds anything and has no end: `meta`.
    pub(super) fn void(&mut self, name: &'static str, attributes: &Attributes<'_>) {
        self.open(name, attributes, ">");
    }

    /// An element of SVG that holds nothing.
    pub(super) fn shape(&mut self, name: &'static str, attributes: &Attributes<'_>) {
        self.open(name, attributes, "/>");
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) {
        escape(text, &mut self.text);
    }

    /// Something of this program's own, as it is.
    pub(super) fn own(&mut self, text: &'static str) {
        self.text.push_str(text);
    }

    /// A line break, so that the source can be read.
    pub(super) fn line(&mut self) {
        self.text.push('\n');
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn open(&mut self, name: &'static str, attributes: &Attributes<'_>, end: &'static str) {
        self.text.push('<');
        self.text.push_str(name);
        for (attribute, value) in attributes {
            self.text.push(' ');
            self.text.push_str(attribute);
            if FLAGS.contains(attribute) {
                continue;
            }
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        self.text.push_str(end);
    }

    fn close(&mut self, name: &'static str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// Appends `text` so that it is only ever text. What cannot be seen, and what would turn the direction of the text, is shown by its number.
pub(super) fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(character),
            hidden if is_hidden(hidden) => {
                // Writing to a string cannot fail.
                write!(out, "\u{27e8}U+{:04X}\u{27e9}", u32::from(hidden)).ok();
            }
            shown => out.push(shown),
        }
    }
}

/// True for what a reader would not see, or would see something else by: control characters, marks of direction, spaces without width, what is no character.
pub(super) fn is_hidden(character: char) -> bool {
    let number = u32::from(character);
    character.is_control()
        || matches!(
            number,
            0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfdd0..=0xfdef | 0xfeff | 0xfff9..=0xfffb | 0xe0000..=0xe007f
        )
        || number & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape(text, &mut out);
        out
    }

    #[test]
    fn what_would_be_markup_is_text() {
        assert_eq!(escaped("<script>]]>"), "&lt;script&gt;]]&gt;");
        assert_eq!(escaped("\" onload='x' &amp;"), "&quot; onload=&#39;x&#39; &amp;amp;");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(escaped("a\u{202e}b\0c\r\n"), "a⟨U+202E⟩b⟨U+0000⟩c⟨U+000D⟩\n");
        assert_eq!(
            escaped("\u{feff}\u{fffe}\u{10ffff}\u{85}"),
            "⟨U+FEFF⟩⟨U+FFFE⟩⟨U+10FFFF⟩⟨U+0085⟩"
        );
        assert_eq!(escaped("Grüße 日本語 👩"), "Grüße 日本語 👩");
    }

    #[test]
    fn elements_close_and_flags_have_no_value() {
        let mut markup = Markup::default();
        markup.element("details", &[("open", ""), ("id", "a\"b")], |markup| {
            markup.leaf("p", &[], "x<y");
            markup.void("br", &[]);
            markup.shape("rect", &[("width", "1")]);
        });
        let expected =
            "<details open id=\"a&quot;b\"><p>x&lt;y</p><br><rect width=\"1\"/></details>";
        assert_eq!(markup.finish(), expected);
    }
}
