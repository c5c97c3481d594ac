//! Reading a report back, to hold an image against it.
//!
//! Such a file comes from anywhere: only what is needed is read, its size is bounded, and none of its names is used as a path.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    identifier,
    model::{FORMAT, OutputPart},
    provenance,
};
use crate::servicing::inventory::Inventory;

/// Longer is no report or statement of ours.
pub const LONGEST: u64 = 64 << 20;

/// A split set has no more: a part is counted in 16 bits.
const MOST_PARTS: usize = u16::MAX as usize;

/// What a report says of the output.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Described {
    /// Version of the format.
    format: u32,
    /// Version of the program that made it.
    pub tool_version: String,
    /// The output.
    pub output: OutputPart,
    /// The images.
    pub images: Vec<DescribedImage>,
    /// The environment variables that secrets came from.
    pub secrets: Vec<String>,
}

/// What a report says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DescribedImage {
    /// Its number in the output.
    pub index: u32,
    /// Its name in the output.
    #[serde(default)]
    pub name: Option<String>,
    /// SHA-1 of its metadata; not told with secrets.
    #[serde(default)]
    pub metadata_sha1: Option<String>,
    /// What it is and has.
    pub inventory: Inventory,
}

/// A file that is no report or statement that this program can use, or that does not fit the other one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescribedError {
    /// No report.
    #[error("not a build report: {0}")]
    NoReport(String),
    /// A report of a later version.
    #[error("a build report of version {0}; this version of transom reads {FORMAT}")]
    Later(u32),
    /// No statement.
    #[error("not a provenance statement of transom: {0}")]
    NoStatement(String),
    /// The statement is not about the report.
    #[error(
        "the statement does not name this report (SHA-256 {0}): the report was changed after the build, or they are of different builds"
    )]
    OtherReport(String),
    /// The statement is about another output.
    #[error("the statement names another output than the report, whose file {0} it does not know")]
    OtherOutput(String),
}

impl Described {
    /// Reads a report.
    ///
    /// # Errors
    /// When it is none, or one of a later version.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescribedError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let wrong = |error: serde_json::Error| DescribedError::NoReport(error.to_string());
        let Format { format } = serde_json::from_slice(bytes).map_err(wrong)?;
        if format > FORMAT {
            return Err(DescribedError::Later(format));
        }
        let described: Self = serde_json::from_slice(bytes).map_err(wrong)?;
        described.check().map_err(|wrong| DescribedError::NoReport(wrong.to_owned()))?;
        Ok(described)
    }

    /// Whether it can be of a build; whoever reads it opens every file and image that it names.
    fn check(&self) -> Result<(), &'static str> {
        let output = &self.output;
        if output.files.is_empty() || self.images.is_empty() {
            return Err("it has no output");
        }
        if output.files.len() > MOST_PARTS {
            return Err("its output has more parts than a split set can have");
        }
        let told = self.images.iter().map(|image| image.index);
        let mut seen = BTreeSet::new();
        if !told
            .chain(output.others.iter().map(|image| image.index))
            .all(|index| seen.insert(index))
        {
            return Err("it tells of an image twice");
        }
        match output.image_count {
            Some(count) if seen.len() != count as usize || seen.last() != Some(&count) => {
                Err("it does not tell of every image of its output")
            }
            _ => Ok(()),
        }
    }

    /// Holds the report, which has these `bytes`, against the payload of its provenance.
    ///
    /// # Errors
    /// When the payload is no statement, or one about something else.
    pub fn check_statement(&self, bytes: &[u8], payload: &[u8]) -> Result<(), DescribedError> {
        let statement: Statement = serde_json::from_slice(payload)
            .map_err(|error| DescribedError::NoStatement(error.to_string()))?;
        let build = &statement.predicate.build_definition;
        let kinds = (&statement.kind[..], &statement.predicate_type[..], &build.build_type[..]);
        if kinds != (provenance::STATEMENT, provenance::PREDICATE, provenance::BUILD_TYPE) {
            return Err(DescribedError::NoStatement("it is of another kind".to_owned()));
        }
        let names = |sha256: &str| {
            let mut digests =
                statement.subject.iter().filter_map(|subject| subject.digest.sha256.as_ref());
            digests.any(|digest| digest.eq_ignore_ascii_case(sha256))
        };
        let own = identifier::sha256(bytes);
        if !names(&own) {
            return Err(DescribedError::OtherReport(own));
        }
        for file in &self.output.files {
            if !file.sha256.as_ref().is_some_and(|sha256| names(sha256)) {
                return Err(DescribedError::OtherOutput(file.name.clone()));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<Subject>,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digests,
}

#[derive(Deserialize)]
struct Digests {
    #[serde(default)]
    sha256: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::report::{
        Report, Run, documents,
        model::{ImagePart, OutputFile},
    };

    fn built() -> (Vec<u8>, Vec<u8>) {
        let mut report = Report { format: FORMAT, ..Report::default() };
        report.output.name = "a.wim".to_owned();
        let sha256 = Some("ab".repeat(32));
        report.output.files = vec![OutputFile { name: "a.wim".to_owned(), size: 5, sha256 }];
        report.images = vec![ImagePart { index: 1, ..ImagePart::default() }];
        let documents = documents(&report, &Run::default());
        let bytes = |suffix| {
            documents.iter().find(|document| document.suffix == suffix).unwrap().bytes.clone()
        };
        (bytes(".report.json"), bytes(".provenance.json"))
    }

    #[test]
    fn a_report_fits_its_own_statement_alone() {
        let (report, statement) = built();
        let described = Described::parse(&report).unwrap();
        described.check_statement(&report, &statement).unwrap();
        let changed =
            String::from_utf8(report.clone()).unwrap().replace("\"size\": 5", "\"size\": 6");
        let error = described.check_statement(changed.as_bytes(), &statement).unwrap_err();
        assert!(error.to_string().contains("the report was changed after the build"), "{error}");
        let mut other = described.clone();
        other.output.files[0].sha256 = Some("cd".repeat(32));
        let error = other.check_statement(&report, &statement).unwrap_err();
        assert_eq!(error, DescribedError::OtherOutput("a.wim".to_owned()));
        other.output.files[0].sha256 = None;
        assert!(other.check_statement(&report, &statement).is_err());
        for wrong in ["", "{}", "[]", "{\"_type\":1}"] {
            let error = described.check_statement(&report, wrong.as_bytes()).unwrap_err();
            assert!(matches!(error, DescribedError::NoStatement(_)), "{wrong}");
        }
        let other_kind = String::from_utf8(statement).unwrap().replace("provenance/v1", "other/v1");
        let error = described.check_statement(&report, other_kind.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("of another kind"), "{error}");
    }

    #[test]
    fn what_is_no_report_is_named() {
        let said = |text: &str| Described::parse(text.as_bytes()).unwrap_err().to_string();
        let (report, _) = built();
        let report = String::from_utf8(report).unwrap();
        assert!(said("").starts_with("not a build report: EOF"));
        assert!(said("{}").contains("missing field `format`"));
        assert!(said(&report[..report.len() / 2]).contains("EOF"));
        assert!(
            said(&report.replacen("\"format\": 1", "\"format\": 2", 1)).contains("of version 2")
        );
        assert!(said("{\"format\":1}").contains("missing field"));
        let twice = report.replacen(
            "\"images\": [",
            "\"images\": [{\"index\":1,\"inventory\":INVENTORY},",
            1,
        );
        let start = report.find("\"inventory\": ").unwrap() + "\"inventory\": ".len();
        let end = start + report[start..].find("\n      }").unwrap() + "\n      }".len();
        assert!(said(&twice.replace("INVENTORY", &report[start..end])).contains("an image twice"));
        let file = "{\"name\":\"a\",\"size\":1},";
        let many = format!("\"files\": [{}", file.repeat(MOST_PARTS));
        assert!(said(&report.replacen("\"files\": [\n", &many, 1)).contains("more parts"));
        let more = report.replacen("\"commit\": \"\"", "\"commit\":\"\",\"image-count\":2", 1);
        assert!(said(&more).contains("every image"), "{}", said(&more));
        let deep = format!("{{\"format\":1,\"x\":{}", "[".repeat(100_000));
        assert!(said(&deep).contains("EOF while parsing a list"), "{}", said(&deep));
    }
}
