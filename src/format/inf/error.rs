//! Why an INF cannot be used, with the place, in words for the person who has to mend it.

/// Why an INF is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{cause}", place(*.line))]
pub struct InfError {
    /// Line in the file, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when unknown.
    pub column: u32,
    /// What is wrong.
    pub cause: InfCause,
}

fn place(line: u32) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

impl InfError {
    /// `cause` at a place of the file.
    #[must_use]
    pub fn new(line: u32, column: u32, cause: InfCause) -> Self {
        Self { line, column, cause }
    }

    /// `cause`, of the file as a whole.
    #[must_use]
    pub fn whole(cause: InfCause) -> Self {
        Self::new(0, 0, cause)
    }
}

/// What is wrong with an INF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InfCause {
    /// Larger than any INF.
    #[error("the file has {size} bytes; INF files of more than {limit} bytes are not read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The ceiling in bytes.
        limit: usize,
    },
    /// More sections than any INF has.
    #[error("more than {0} sections")]
    TooManySections(usize),
    /// No section at all.
    #[error("this is not an INF file: it has no [section]")]
    NoSections,
    /// Text before the first section header. It is documented as an error, and samples of Microsoft begin with `/*++` all the same.
    #[error("there is text before the first [section]; Windows may refuse such a file")]
    BeforeSection,
    /// A `[` without `]`.
    #[error("the section name is not closed by `]`")]
    SectionNotClosed,
    /// A section name of more than 255 characters.
    #[error("the section name is longer than 255 characters")]
    SectionName,
    /// A quote that the line does not close.
    #[error("a quotation mark is opened and not closed on this line")]
    UnclosedQuote,
    /// A field longer than Windows reads.
    #[error("a field is longer than 4096 characters; Windows may cut it")]
    LongField,
    /// A wrong `Signature`.
    #[error("the signature is `{0}`, not `$Windows NT$` or `$Chicago$`")]
    Signature(String),
    /// A section that must be there.
    #[error("the section [{0}] is missing")]
    MissingSection(String),
    /// An entry that must be there.
    #[error("[{section}] has no `{key}`")]
    MissingEntry {
        /// The section.
        section: String,
        /// The key.
        key: &'static str,
    },
    /// Something that must be a GUID.
    #[error("`{text}` is not a GUID ({what})")]
    Guid {
        /// What it is for.
        what: &'static str,
        /// What stands there.
        text: String,
    },
    /// A malformed `DriverVer`.
    #[error("`{0}` is not a driver version: `month/day/year,1.2.3.4` is expected")]
    DriverVersion(String),
    /// Something that must be a number.
    #[error("`{text}` is not a number ({what})")]
    Number {
        /// What it is for.
        what: &'static str,
        /// What stands there.
        text: String,
    },
    /// A field of binary data that is not a byte.
    #[error("`{0}` is not a byte in hexadecimal, as binary data of the registry must be")]
    Byte(String),
    /// Not a registry root.
    #[error("`{0}` is not a registry root: HKR, HKLM, HKCR, HKCU or HKU is expected")]
    RegistryRoot(String),
    /// A decoration that is not understood.
    #[error("`{0}` is not a system that this program knows (as `NTamd64.10.0` would be)")]
    Decoration(String),
    /// No folder for the files of a section.
    #[error(
        "[DestinationDirs] names no folder for [{0}] and has no DefaultDestDir: where its files go is not known"
    )]
    Destination(String),
    /// A path that leads out of its folder, or that cannot be one.
    #[error("`{path}` {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it: `leads out of its folder`.
        why: &'static str,
    },
    /// A `ServiceBinary` without a folder number.
    #[error(
        "the program of the service is `{0}`; a folder number and a path, as in `%12%\\x.sys`, are expected"
    )]
    ServiceBinary(String),
    /// A service whose section is nowhere.
    #[error("the service `{service}` has its settings in [{section}], which is missing")]
    ServiceSection {
        /// The service.
        service: String,
        /// The section.
        section: String,
    },
    /// A token that `[Strings]` does not define.
    #[error("`%{0}%` is not defined in [Strings]; it stays as it is")]
    UnknownToken(String),
    /// A section that an entry names and that is nowhere.
    #[error("`{key}` names the section [{section}], which is missing")]
    DanglingSection {
        /// The entry.
        key: String,
        /// The section.
        section: String,
    },
    /// Sections that refer to each other without end, or nearly.
    #[error("its sections refer to each other so often that reading them all was given up")]
    TooMuch,
}

/// Something that a person should know of an INF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfDefect {
    /// Line in the file, from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when unknown.
    pub column: u32,
    /// What is wrong.
    pub cause: InfCause,
    /// True: the INF works all the same.
    pub warning: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_line_when_it_has_one() {
        let error = InfError::new(12, 3, InfCause::Byte("zz".into()));
        assert!(error.to_string().starts_with("line 12: `zz` is not a byte"), "{error}");
        assert!(
            InfError::whole(InfCause::NoSections).to_string().starts_with("this is not an INF")
        );
    }
}
