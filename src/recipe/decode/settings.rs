//! `[image]`, `[base]`, `[policy]` and `[output]`.

use std::path::Path;

use crate::{
    base::filetime::FileTime,
    codec::Codec,
    recipe::{
        finding::Finding,
        model::{
            BaseSection, Expect, ImageSection, ImageSelect, OutputImages, OutputSection,
            PolicySection, WhenNotNative,
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

pub(super) fn policy(table: &Table) -> PolicySection {
    let when_not_native = match table.get("when-not-native").and_then(Node::text) {
        Some("first-boot") => WhenNotNative::FirstBoot,
        Some("dism") => WhenNotNative::Dism,
        _ => WhenNotNative::Refuse,
    };
    PolicySection { when_not_native }
}

pub(super) fn base(table: &Table) -> Option<BaseSection> {
    let expect = table.get("expect").and_then(Node::table);
    Some(BaseSection {
        wim: path(table.get("wim")?)?,
        select: ["edition", "name", "index"].iter().find_map(|key| select(key, table.get(key)?))?,
        expect: expect.map_or_else(Expect::default, |expect| Expect {
            arch: located(expect, "arch"),
            build: located(expect, "build"),
        }),
    })
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

impl Decoder<'_> {
    pub(super) fn output(&mut self, table: &Table) -> Option<OutputSection> {
        let compression = match table.get("compression").and_then(Node::text) {
            Some("none") => Some(Codec::None),
            Some("xpress") => Some(Codec::Xpress),
            Some("lzx") => Some(Codec::Lzx),
            _ => None,
        };
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
            images,
        })
    }

    fn chunk_size(&mut self, node: &Node, compression: Option<Codec>) -> Option<u32> {
        let Value::Integer(Some(kib)) = node.value else { return None };
        // Out of range is a finding already.
        let bytes = u32::try_from(kib).ok()?.checked_mul(1 << 10)?;
        let Some(codec) = compression else {
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
                    _ => "a power of two from 32 to 2048; 32 is what every tool reads",
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
        if time.is_none() && matches!(node.value, Value::Time(_)) {
            self.findings.push(Finding::at(
                &node.origin,
                "recipe::wrong-value",
                "this time says no offset from UTC, so it is another on every machine",
                "which time zone?",
                format!("for UTC add a Z: {}Z", node.origin.text().trim()),
            ));
        }
        time
    }

    /// The output must not be a file that the build reads.
    pub(super) fn output_apart(
        &mut self,
        base: &BaseSection,
        output: &OutputSection,
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
