//! `transom verify --policy`: any WIM against the rules of a `[policy]`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde::Serialize;

use super::wim::select::{self, ImageChoice};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure},
        failures,
        output::Out,
        text,
    },
    format::wim::Wim,
    pipeline,
    recipe::{self, Findings, PolicySection},
    servicing::{
        drivers::signatures::{self, Signatures},
        inventory::Inventory,
        policy::{self, Broken},
    },
};

/// Which rules an image is held against.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PolicyArguments {
    /// Hold the images against the rules under [policy] of this file: a recipe, or a file with nothing else
    ///
    /// Of a recipe with variants these are the rules that stand outside of its [matrix].
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Hold this image alone against them, by its number from 1 [default: every image]
    #[arg(long, value_name = "N", requires = "policy", conflicts_with = "image", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) index: Option<u32>,

    /// Hold this image alone against them, by its name
    #[arg(long, value_name = "NAME", requires = "policy")]
    pub(crate) image: Option<String>,
}

/// What came of it. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PolicyVerdict {
    /// The file with the rules.
    file: PathBuf,
    /// True when every image keeps every rule.
    kept: bool,
    /// The rules in words.
    rules: Vec<String>,
    /// The images that were looked at.
    images: Vec<ImageVerdict>,
    /// The rules that are broken, for a person.
    #[serde(skip)]
    findings: Vec<recipe::Finding>,
}

/// An image against the rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ImageVerdict {
    /// Its number, from 1.
    index: u32,
    /// Its name.
    name: Option<String>,
    /// The rules that it breaks.
    broken: Vec<BrokenRule>,
    /// What is kept, but perhaps because a name is misspelt.
    doubts: Vec<String>,
}

/// A rule that an image breaks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BrokenRule {
    /// `features.SMB1Protocol`.
    rule: String,
    /// What was found.
    found: String,
    /// What to do about it.
    help: String,
}

impl From<&Broken> for BrokenRule {
    fn from(broken: &Broken) -> Self {
        let Broken { rule, found, help } = broken.clone();
        Self { rule: rule.to_string(), found, help }
    }
}

impl PolicyArguments {
    /// The rules, where a file with rules is named.
    pub(crate) fn load(&self) -> Result<Option<PolicySection>, Failure> {
        let load = |file: &PathBuf| {
            recipe::load_policy(file, &[]).map_err(|findings| failures::recipe(&findings))
        };
        self.policy.as_ref().map(load).transpose()
    }

    /// Holds the chosen images of `wim` against the rules; `None` without any.
    pub(crate) fn check(
        &self,
        rules: Option<&PolicySection>,
        wim: &Arc<Wim>,
        path: &Path,
        context: &Context,
    ) -> Result<Option<PolicyVerdict>, Failure> {
        let (Some(file), Some(rules)) = (&self.policy, rules) else { return Ok(None) };
        let choice = ImageChoice { index: self.index, image: self.image.clone() };
        let chosen = choice.any(wim, path)?;
        let mut verdict = PolicyVerdict {
            file: file.clone(),
            kept: true,
            rules: policy::rules(&rules.spec),
            images: Vec::new(),
            findings: Vec::new(),
        };
        for index in &chosen {
            verdict.image(wim, path, *index, rules, chosen.len() > 1, context)?;
        }
        Ok(Some(verdict))
    }
}

impl PolicyVerdict {
    fn image(
        &mut self,
        wim: &Arc<Wim>,
        path: &Path,
        index: u32,
        rules: &PolicySection,
        several: bool,
        context: &Context,
    ) -> Result<(), Failure> {
        let mut image = select::image(wim, path, index, context)?;
        let inventory = Inventory::of(&mut image);
        let signed = match rules.spec.signed_drivers {
            true => signatures::read(&mut image),
            false => Signatures::default(),
        };
        let checked = policy::check(&rules.spec, &inventory, &signed);
        let name = wim.xml().image_name(index).map(str::to_owned);
        let label = several.then(|| match &name {
            Some(name) => format!("image {index} \"{name}\""),
            None => format!("image {index}"),
        });
        for doubt in &checked.doubts {
            let label = label.as_ref().map(|label| format!("{label}: ")).unwrap_or_default();
            context.printer.warn(format_args!("{label}{doubt}"));
        }
        self.kept &= checked.broken.is_empty();
        let found = pipeline::policy::findings(
            rules,
            label.as_deref(),
            &checked.broken,
            "this rule is broken",
        );
        self.findings.extend(found);
        self.images.push(ImageVerdict {
            index,
            name,
            broken: checked.broken.iter().map(BrokenRule::from).collect(),
            doubts: checked.doubts,
        });
        Ok(())
    }

    /// Prints it; the rules that are broken are told by [`PolicyVerdict::end`].
    pub(crate) fn show(&self, path: &Path, out: &mut Out) -> Result<(), Failure> {
        let rules = text::count(self.rules.len() as u64, "rule", "rules");
        let images = text::count(self.images.len() as u64, "image", "images");
        let file = self.file.display();
        let broken: usize = self.images.iter().map(|image| image.broken.len()).sum();
        let verdict = match broken {
            0 => format!("keeps {rules} of {file} ({images} looked at)"),
            count => {
                let count = text::count(count as u64, "time", "times");
                format!("breaks the rules of {file} {count} ({rules}, {images} looked at)")
            }
        };
        out.line(format_args!("{}: {verdict}", path.display()))
    }

    /// The failure for rules that are broken, each with its place.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        Findings::check(self.findings.clone())
            .map_err(|findings| failures::findings(&findings, Exit::Policy))
    }
}
