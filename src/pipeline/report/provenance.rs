//! The provenance: an in-toto Statement v1 with a SLSA provenance v1 predicate.
//!
//! | part | what it says |
//! |---|---|
//! | `subject` | the output's files and the documents that come out the same every time, each by its SHA-256 |
//! | `buildType` | [`BUILD_TYPE`]: a recipe is resolved, planned and applied to a base image, as `transom build` does |
//! | `externalParameters` | `recipe`: its name; `set`: what `--set` laid over it; `variant`. Together with the dependencies that is all that a build is made of |
//! | `internalParameters` | `orderTable`: version of the order of steps; `epoch`: time of everything new |
//! | `resolvedDependencies` | the recipe's files, the base image (each part of a split set), every input, and the lock's text, which names them all |
//! | `builder.id` | [`BUILDER`]: this program where it was run; nothing is said of the machine, so this is SLSA Build L1, and with a signature the word of whoever has the key |
//!
//! **No times, no number of an invocation**: equal builds have equal statements, wherever and whenever they ran. When and where is in `NAME.run.json`.
//!
//! **Digests**: the keys of a digest set are `sha256`; `blake3`, lower-case hexadecimal, for base and inputs, which are hashed once and with BLAKE3 alone; and
//! `transomTree` for a folder, lower-case hexadecimal of the BLAKE3 of its tree, as the lock file has it. A consumer that knows `sha256` alone has the lock's, whose text
//! has the others.
//!
//! Both names are URNs, as there is no place on the web that could be promised to stay.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::{
    Document, Report, beside, identifier,
    model::{FilePart, PartPart},
};

/// Names what kind of build it is.
pub const BUILD_TYPE: &str = "urn:x-transom:build:v1";
/// Names the builder.
pub const BUILDER: &str = "urn:x-transom:builder:v1";
/// Names the type of the statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Names the type of the predicate.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// The documents that come out the same every time.
const DOCUMENTS: [&str; 3] = [".report.json", ".cdx.json", ".spdx.json"];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Statement<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: Vec<Resource>,
    predicate_type: &'static str,
    predicate: Predicate<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: ExternalParameters<'a>,
    internal_parameters: InternalParameters<'a>,
    resolved_dependencies: Vec<Resource>,
}

#[derive(Debug, Serialize)]
struct ExternalParameters<'a> {
    recipe: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    set: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InternalParameters<'a> {
    order_table: &'a str,
    epoch: &'a str,
}

#[derive(Debug, Serialize)]
struct RunDetails<'a> {
    builder: Builder<'a>,
}

#[derive(Debug, Serialize)]
struct Builder<'a> {
    id: &'static str,
    version: BTreeMap<&'static str, &'a str>,
}

/// A file by its digest: a ResourceDescriptor.
#[derive(Debug, Serialize)]
struct Resource {
    name: String,
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

/// The statement; `None` when the report has no digest of the output.
pub(super) fn statement(report: &Report, documents: &[Document]) -> Option<Vec<u8>> {
    let output = &report.output;
    if output.files.is_empty() {
        return None;
    }
    let mut subject = Vec::new();
    for file in &output.files {
        subject.push(Resource::new(&file.name, "sha256", file.sha256.as_ref()?));
    }
    for document in documents.iter().filter(|one| DOCUMENTS.contains(&one.suffix)) {
        let path = beside::path_of(Path::new(&output.name), document.suffix);
        let name = path.to_string_lossy();
        subject.push(Resource::new(&name, "sha256", &identifier::sha256(&document.bytes)));
    }
    let recipe = &report.recipe;
    let build_definition = BuildDefinition {
        build_type: BUILD_TYPE,
        external_parameters: ExternalParameters {
            recipe: &recipe.name,
            set: &recipe.set,
            variant: recipe.variant.as_deref(),
        },
        internal_parameters: InternalParameters {
            order_table: &report.order_table,
            epoch: &report.epoch,
        },
        resolved_dependencies: dependencies(report),
    };
    let builder =
        Builder { id: BUILDER, version: BTreeMap::from([("transom", &report.tool_version[..])]) };
    let predicate = Predicate { build_definition, run_details: RunDetails { builder } };
    Some(super::json(&Statement { kind: STATEMENT, subject, predicate_type: PREDICATE, predicate }))
}

fn dependencies(report: &Report) -> Vec<Resource> {
    let lock = Resource::new("lock", "sha256", &report.recipe.lock_sha256).role("lock");
    let base: Vec<Resource> = match &report.base.parts[..] {
        [] => vec![Resource::of(&report.base).role("base")],
        parts => {
            let part = |part: &PartPart| Resource::new(&part.name, "blake3", &part.blake3);
            parts.iter().map(|one| part(one).role("base")).collect()
        }
    };
    let recipe = report.recipe.files.iter().map(|file| Resource::of(file).role("recipe"));
    let inputs = report.inputs.iter().map(|file| Resource::of(file).role("input"));
    std::iter::once(lock).chain(base).chain(recipe).chain(inputs).collect()
}

impl Resource {
    fn new(name: &str, algorithm: &'static str, digest: &str) -> Self {
        Self {
            name: name.to_owned(),
            digest: BTreeMap::from([(algorithm, digest.to_owned())]),
            annotations: BTreeMap::new(),
        }
    }

    fn of(file: &FilePart) -> Self {
        let algorithm = if file.folder { "transomTree" } else { "blake3" };
        Self::new(&file.name, algorithm, &file.blake3)
    }

    fn role(mut self, role: &str) -> Self {
        self.annotations.insert("role", role.to_owned());
        self
    }
}
