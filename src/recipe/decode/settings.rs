//! `[image]`, `[base]` and `[output]`.

use std::path::Path;

use crate::{
    base::filetime::FileTime,
    codec::{Codec, Level},
    recipe::{
        finding::Finding,
        model::{
            BaseImage, BaseSection, Compression, Expect, ImageSection, ImageSelect, OutputImages,
            OutputSection,
        },
        node::{Node, Table, Value},
        paths,
        source::{Located, Sources},
    },
};

use super::{Decoder, located};

pub(super) fn image(table: &Table) -> ImageSection {
    ImageSection {
        name: located(table, "name"),
        version: located(table, "version"),
        description: located(table, "description"),
    }
}

pub(super) fn base(table: &Table) -> Option<BaseSection> {
    let expect = table.get("expect").and_then(Node::table);
    Some(BaseSection {
        wim: path(table.get("wim")?)?,
        images: images(table)?,
        expect: expect.map_or_else(Expect::default, |expect| Expect {
            arch: located(expect, "arch"),
            build: located(expect, "build"),
        }),
    })
}

/// The images that are built; `None` when there is none.
fn images(table: &Table) -> Option<Vec<BaseImage>> {
    let plain = |select| BaseImage { select, name: None, description: None };
    let one = |table: &Table| {
        ["edition", "name", "index"].iter().find_map(|key| select(key, table.get(key)?))
    };
    if let Some(selected) = one(table) {
        return Some(vec![plain(selected)]);
    }
    let lists = [("editions", "edition"), ("names", "name"), ("indexes", "index")];
    let listed = lists.iter().find_map(|(list, key)| {
        let nodes = table.get(list)?.list()?.iter();
        Some(nodes.filter_map(|node| select(key, node)).map(plain).collect())
    });
    let images: Vec<BaseImage> = match (listed, table.get("images")) {
        (Some(listed), _) => listed,
        (None, Some(node)) if node.text().is_some() => {
            vec![plain(Located { value: ImageSelect::All, origin: node.origin.clone() })]
        }
        (None, Some(node)) => {
            let tables = node.list()?.iter().filter_map(Node::table);
            let image = |table: &Table| {
                Some(BaseImage {
                    select: one(table)?,
                    name: located(table, "new-name"),
                    description: located(table, "new-description"),
                })
            };
            tables.filter_map(image).collect()
        }
        (None, None) => Vec::new(),
    };
    (!images.is_empty()).then_some(images)
}

fn select(key: &str, node: &Node) -> Option<Located<ImageSelect>> {
    let value = match (&node.value, key) {
        (Value::Text(text), "edition") => ImageSelect::Edition(text.clone()),
        (Value::Text(text), "name") => ImageSelect::Name(text.clone()),
        (Value::Integer(Some(index)), "index") => ImageSelect::Index(u32::try_from(*index).ok()?),
        _ => return None,
    };
    Some(Located { value, origin: node.origin.clone() })
}

fn path(node: &Node) -> Option<Located<std::path::PathBuf>> {
    let value = paths::resolve(node.origin.source(), node.text()?);
    Some(Located { value, origin: node.origin.clone() })
}

/// A date or time without an offset as a time in UTC; what has an offset stays as it is.
fn in_utc(text: &str) -> String {
    let date_only = text.len() == 10 && !text.contains(':');
    let has_offset =
        text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']));
    match (date_only, has_offset) {
        (true, _) => format!("{text}T00:00:00Z"),
        (_, true) => text.to_owned(),
        _ => format!("{text}Z"),
    }
}

impl Decoder<'_> {
    pub(super) fn output(&mut self, table: &Table) -> Option<OutputSection> {
        let compression = match table.get("compression").and_then(Node::text) {
            Some("none") => Some(Compression::Each(Codec::None)),
            Some("xpress") => Some(Compression::Each(Codec::Xpress)),
            Some("lzx") => Some(Compression::Each(Codec::Lzx)),
            Some("lzms") => Some(Compression::Each(Codec::Lzms)),
            Some("solid") => Some(Compression::Solid),
            _ => None,
        };
        let level = table.get("level").and_then(Node::text);
        let level = Level::ALL.into_iter().find(|known| Some(known.word()) == level);
        let split = table.get("split-mib").and_then(|node| self.split(node, compression));
        let images = match table.get("images").and_then(Node::text) {
            Some("all") => OutputImages::All,
            _ => OutputImages::Selected,
        };
        Some(OutputSection {
            chunk_size: table.get("chunk-kib").and_then(|node| self.chunk_size(node, compression)),
            epoch: table.get("epoch").and_then(|node| self.epoch(node)),
            integrity: matches!(
                table.get("integrity"),
                Some(Node { value: Value::Boolean(true), .. })
            ),
            path: path(table.get("path")?)?,
            compression,
            level: level.unwrap_or_default(),
            split,
            images,
        })
    }

    fn split(&mut self, node: &Node, compression: Option<Compression>) -> Option<Located<u64>> {
        let Value::Integer(Some(mib)) = node.value else { return None };
        if compression == Some(Compression::Solid) {
            self.findings.push(Finding::at(
                &node.origin,
                "recipe::split-solid",
                "a solid image cannot be split",
                "its files are compressed together, and what is compressed together cannot lie in two parts",
                "take `split-mib` away, or choose `compression = \"lzx\"`",
            ));
            return None;
        }
        let value = u64::try_from(mib).ok()?.checked_mul(1 << 20)?;
        Some(Located { value, origin: node.origin.clone() })
    }

    fn chunk_size(&mut self, node: &Node, compression: Option<Compression>) -> Option<u32> {
        let Value::Integer(Some(kib)) = node.value else { return None };
        // Out of range is a finding already.
        let bytes = u32::try_from(kib).ok()?.checked_mul(1 << 10)?;
        let Some(codec) = compression.map(Compression::codec) else {
            self.findings.push(Finding::at(
                &node.origin,
                "recipe::chunk-size",
                "a chunk size without `compression` means nothing",
                "of which compression?",
                "add `compression`, or take `chunk-kib` away",
            ));
            return None;
        };
        if !codec.allows_chunk_size(bytes) {
            self.findings.push(Finding::at(
                &node.origin,
                "recipe::chunk-size",
                format!("the compression {codec} has no chunks of {kib} KiB"),
                "not a chunk size of this compression",
                match codec {
                    Codec::None => "without compression there are no chunks: take `chunk-kib` away",
                    Codec::Xpress => "4, 8, 16, 32 or 64; 32 is what every tool reads",
                    Codec::Lzx => "a power of two from 32 to 2048; 32 is what every tool reads",
                    Codec::Lzms => {
                        "a power of two from 32 to 65536; 128 is usual, 65536 when solid"
                    }
                },
            ));
            return None;
        }
        Some(bytes)
    }

    fn epoch(&mut self, node: &Node) -> Option<FileTime> {
        let time = match &node.value {
            Value::Integer(Some(seconds)) => {
                i64::try_from(*seconds).ok().map(|seconds| FileTime::from_unix(seconds, 0))
            }
            Value::Text(text) | Value::Time(text) => FileTime::parse(text),
            _ => None,
        };
        let too_early = time.is_some_and(|time| time.0 == 0);
        if too_early || (time.is_none() && matches!(node.value, Value::Time(_))) {
            let finding = |message: &str, label: &str, help: String| {
                Finding::at(&node.origin, "recipe::wrong-value", message, label, help)
            };
            let written = node.origin.text().trim();
            let utc = in_utc(written);
            self.findings.push(match FileTime::parse(&utc) {
                Some(_) if utc != written && !too_early => finding(
                    "this time says no offset from UTC, so it is another on every machine",
                    "which time zone?",
                    format!("for UTC write {utc}"),
                ),
                _ => finding(
                    "this is no time that Windows can write down",
                    "expected a time after 1601-01-01T00:00:00Z, up to the year 9999",
                    "for example 2026-11-01T00:00:00Z".to_owned(),
                ),
            });
            return None;
        }
        time
    }

    /// Images of one WIM cannot have one name.
    pub(super) fn one_name(&mut self, image: &ImageSection, base: &BaseSection) {
        if let (Some(name), true) = (&image.name, base.has_several()) {
            self.findings.push(
                Finding::at(
                    &name.origin,
                    "recipe::one-name",
                    "several images of one WIM cannot have one name",
                    "would be the name of each",
                    "take it away: each keeps its name; or write [[base.images]], each with its own `new-name`",
                )
                .and(&base.images[0].select.origin, "several images are built"),
            );
        }
    }

    /// The output must not be a file that the build reads.
    pub(super) fn output_apart(
        &mut self,
        base: &BaseSection,
        output: &OutputSection,
        variant: Option<&str>,
        sources: &Sources,
    ) {
        let path: &Path = &output.path.value;
        if paths::same(path, &base.wim.value) {
            self.findings.push(
                Finding::at(
                    &output.path.origin,
                    "recipe::output-is-input",
                    "the output is the base image itself",
                    "would be written here",
                    "the base is never written; give the output another path",
                )
                .and(&base.wim.origin, "is read from here"),
            );
        }
        let input = self.inputs.values().find(|input| paths::same(path, &input.path));
        if let Some(input) = input {
            self.findings.push(
                Finding::at(
                    &output.path.origin,
                    "recipe::output-is-input",
                    "the output is a file that the build reads",
                    "would be written here",
                    "give the output another path",
                )
                .and(&input.origin, "is read from here"),
            );
        }
        // Beside each recipe, its own and those that it extends, lies a lock file.
        let lock = sources.iter().find(|source| {
            source.name.ends_with(".toml")
                && paths::same(path, &paths::lock(Path::new(&source.name), variant))
        });
        if let Some(recipe) = lock {
            self.findings.push(Finding::at(
                &output.path.origin,
                "recipe::output-is-input",
                "the output is the recipe's lock file",
                "would be written here",
                format!(
                    "what `{}` was resolved to is written there; give the output another path",
                    recipe.name
                ),
            ));
        }
        let text = sources.iter().find(|source| paths::same(path, Path::new(&source.name)));
        if text.is_some() {
            self.findings.push(Finding::at(
                &output.path.origin,
                "recipe::output-is-input",
                "the output is the recipe itself",
                "would be written here",
                "give the output another path",
            ));
        }
    }
}
