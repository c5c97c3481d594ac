//! `transom inspect image`: what an image says of itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde::Serialize;

use super::{
    drivers,
    packages::PackageViews,
    settings::{SettingViews, Settings},
};
use crate::{
    base::{limits::Limits, name::Name},
    cli::{
        app::Context,
        commands::wim::{
            info::{self, ImageInfo},
            select::{self, ImageChoice},
            tree,
        },
        exit::Failure,
        failures, text,
    },
    format::wim::{ImageMetadata, StreamKind, Wim},
    image::{Image, ImageFacts, RegistryPath},
};

/// Show what an image is and holds
///
/// Prints what the WIM's XML says of the image, what the image itself says (its registry hives and the header of kernel32.dll), what its tree holds, and how
/// its services start, how far it is with Windows Setup, which answer files Setup finds in it, its provisioned apps, its languages,
/// formats, keyboards and time zone, and the settings of a Windows PE.
/// What is not there is unknown and left out.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom inspect image install.wim --index 2
  transom inspect image boot.wim --index 1 --json
  transom inspect image install.wim --index 2 --drivers
  transom inspect image install.wim --index 2 --driver oem3.inf
  transom inspect image install.wim --index 2 --packages --all
  transom inspect image install.wim --index 2 --feature TelnetClient
  transom inspect image install.wim --index 2 --apps
  transom inspect image install.wim --index 2 --intl
  transom inspect image boot.wim --index 1 --pe"#)]
pub(crate) struct InspectImageArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    #[command(flatten)]
    choice: ImageChoice,

    /// List the driver packages that did not come with Windows
    #[arg(long, group = "view")]
    drivers: bool,

    /// Show one driver package: its device IDs and services (published name, original name or store folder)
    #[arg(long, value_name = "INF", group = "view")]
    driver: Option<String>,

    #[command(flatten)]
    packages: PackageViews,

    #[command(flatten)]
    settings: SettingViews,

    /// With --drivers: those that came with Windows too; with --packages: hidden ones too; with --capabilities: those that are not there too
    #[arg(long)]
    all: bool,

    /// Print JSON: {xml: {...}, facts: {...}, tree: {...}, services: {...}, locale: {...}, setup: {...}, defaults: {...}, apps: {...}, winpe:
    /// {...}}; with --apps, --intl, --setup or --pe that part alone; with --services {services: [...]}; with --drivers or --driver {drivers: [...], notes: [...]}; with
    /// --packages or --package {packages: [...]}; with --features or --feature {features: [...]}; with --capabilities {capabilities: [...]}; with
    /// --languages {languages: [...]}; with --pending {pending: [...], servicing-stack: {...}, first-boot: [...]}
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Fields are only ever added.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ImageReport {
    /// What the WIM's XML says.
    xml: ImageInfo,
    /// What hives and kernel32.dll say.
    facts: ImageFacts,
    /// What is in the tree.
    tree: TreeCounts,
    /// How many services there are, by how they start; absent when the image has no such registry.
    services: Option<BTreeMap<&'static str, u64>>,
    #[serde(flatten)]
    settings: Settings,
}

/// What is in a tree.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct TreeCounts {
    directories: u64,
    /// Names of files; a file with two hard links counts twice.
    files: u64,
    /// Files with more than one name.
    hard_linked_files: u64,
    links: u64,
    named_streams: u64,
    short_names: u64,
    security_descriptors: u64,
    /// Contents, each counted once.
    unique_contents: u64,
    unique_bytes: u64,
}

/// Runs `transom inspect image`.
pub(crate) fn run(arguments: &InspectImageArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    check_all(arguments)?;
    let wim = select::open(path, context)?;
    let index = arguments.choice.one(&wim, path)?;
    if let Some(choice) = driver_choice(arguments) {
        let mut image = Image::open(wim, index, &Limits::default())
            .map_err(|error| failures::image(path, error))?;
        return drivers::run(&mut image, path, choice, arguments.json, context);
    }
    if arguments.packages.any() {
        let mut image = Image::open(wim, index, &Limits::default())
            .map_err(|error| failures::image(path, error))?;
        let (all, json) = (arguments.all, arguments.json);
        return arguments.packages.run(&mut image, path, all, json, context);
    }
    if arguments.settings.any() {
        let mut image = Image::open(wim, index, &Limits::default())
            .map_err(|error| failures::image(path, error))?;
        return arguments.settings.run(&mut image, path, arguments.json, context);
    }
    let metadata = select::metadata(&wim, path, index, context)?;
    let tree = count(&wim, &metadata);
    drop(metadata);
    let mut image = Image::open(Arc::clone(&wim), index, &Limits::default())
        .map_err(|error| failures::image(path, error))?;
    let facts = image.facts();
    for warning in &facts.warnings {
        context.printer.warn(format_args!("{}: {warning}", path.display()));
    }
    let services = services(&mut image, path, context);
    let settings = Settings::read(&mut image, path, context);
    let xml = info::image_info(&wim, index);
    let report = ImageReport { xml, facts, tree, services, settings };
    if arguments.json { context.printer.json(&report) } else { print(&report, context) }
}

/// `--all` adds to lists that leave something out; the others have all there is.
fn check_all(arguments: &InspectImageArguments) -> Result<(), Failure> {
    if !arguments.all || arguments.drivers || arguments.packages.leaves_out() {
        return Ok(());
    }
    let complete = arguments.packages.complete();
    let why = complete.map(|view| format!("; {view} leaves nothing out")).unwrap_or_default();
    Err(Failure::usage(format!(
        "--all goes with --drivers, --packages or --capabilities, which leave something out without it{why}"
    )))
}

/// Which driver packages are asked for; `None` when it is the image itself.
fn driver_choice(arguments: &InspectImageArguments) -> Option<drivers::Choice<'_>> {
    match &arguments.driver {
        Some(name) => Some(drivers::Choice::One(name)),
        None if arguments.drivers && arguments.all => Some(drivers::Choice::All),
        None => arguments.drivers.then_some(drivers::Choice::ThirdParty),
    }
}

fn count(wim: &Wim, image: &ImageMetadata) -> TreeCounts {
    let mut counts = TreeCounts {
        security_descriptors: image.security.len() as u64,
        hard_linked_files: tree::link_counts(image).values().filter(|names| **names > 1).count()
            as u64,
        ..TreeCounts::default()
    };
    let mut contents = std::collections::BTreeSet::new();
    for dentry in image.dentries.iter().skip(1) {
        if dentry.reparse.is_some() {
            counts.links += 1;
        } else if tree::is_directory(dentry) {
            counts.directories += 1;
        } else {
            counts.files += 1;
        }
        counts.short_names += u64::from(!dentry.short_name.is_empty());
        counts.named_streams +=
            dentry.streams.iter().filter(|stream| stream.kind == StreamKind::Named).count() as u64;
        contents
            .extend(dentry.streams.iter().map(|stream| stream.sha1).filter(|sha1| !sha1.is_zero()));
    }
    counts.unique_contents = contents.len() as u64;
    counts.unique_bytes =
        contents.iter().filter_map(|sha1| wim.blob(sha1)).map(|blob| blob.size).sum();
    counts
}

/// Where services are configured.
const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";

/// How services start: the value `Start` and its word.
const STARTS: [&str; 5] = ["boot", "system", "auto", "manual", "disabled"];

/// How many services start how; `None` when the image has no SYSTEM hive, or a damaged one, which is warned of.
fn services(
    image: &mut Image,
    path: &Path,
    context: &Context,
) -> Option<BTreeMap<&'static str, u64>> {
    let root = RegistryPath::parse(SERVICES).ok()?;
    let names = match image.registry_subkeys(&root) {
        Ok(names) => names,
        Err(error) => {
            context.printer.warn(format_args!("{}: services are unknown: {error}", path.display()));
            return None;
        }
    };
    let mut counts = BTreeMap::new();
    let start = Name::from("Start");
    for name in names {
        // Drivers and services have a Start value; other keys below are settings of something else.
        let Ok(Some(value)) = image.registry_value(&root.join(&name), &start) else { continue };
        let word = value
            .as_dword()
            .and_then(|number| STARTS.get(usize::try_from(number).ok()?).copied())
            .unwrap_or("unknown");
        *counts.entry(word).or_insert(0) += 1;
    }
    Some(counts)
}

fn print(report: &ImageReport, context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    out.text(text::facts(&info::image_rows(&report.xml)))?;
    let rows = fact_rows(&report.facts);
    if !rows.is_empty() {
        out.line("\nFrom its hives and kernel32.dll")?;
        out.text(text::facts(&rows))?;
    }
    let tree = &report.tree;
    out.line("\nTree")?;
    out.text(text::facts(&[
        ("Directories", tree.directories.to_string()),
        ("Files", format!("{} ({} with several names)", tree.files, tree.hard_linked_files)),
        ("Links", tree.links.to_string()),
        ("Named streams", tree.named_streams.to_string()),
        ("Short names", tree.short_names.to_string()),
        ("Security descriptors", tree.security_descriptors.to_string()),
        (
            "Contents",
            format!("{} ({} uncompressed)", tree.unique_contents, text::size(tree.unique_bytes)),
        ),
    ]))?;
    if let Some(services) = &report.services {
        let total: u64 = services.values().sum();
        let parts: Vec<String> = STARTS
            .iter()
            .chain(&["unknown"])
            .filter_map(|word| services.get(word).map(|count| format!("{count} {word}")))
            .collect();
        out.line(format_args!("\nServices and drivers: {total} ({})", parts.join(", ")))?;
    }
    report.settings.print(&mut out)?;
    out.finish()
}

/// The facts that are known.
fn fact_rows(facts: &ImageFacts) -> Vec<(&'static str, String)> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let version = facts.major.zip(facts.minor).zip(facts.build).map(|((major, minor), build)| {
        let revision = facts.revision.map(|revision| format!(".{revision}")).unwrap_or_default();
        format!("{major}.{minor}.{build}{revision}")
    });
    let architecture =
        facts.architecture.map(|architecture| format!("{architecture:?}").to_lowercase());
    let rows = [
        ("System root", text(&facts.system_root)),
        ("Architecture", architecture),
        ("Version", version),
        ("Branch", text(&facts.branch)),
        ("Edition", text(&facts.edition)),
        ("Installation type", text(&facts.installation_type)),
        ("Product name", text(&facts.product_name)),
        ("Product type", text(&facts.product_type)),
        ("Product suite", text(&facts.product_suite)),
        ("HAL", text(&facts.hal)),
        ("Languages", (!facts.languages.is_empty()).then(|| facts.languages.join(", "))),
        ("Default language", text(&facts.default_language)),
        ("Image state", text(&facts.image_state)),
        ("Windows PE", facts.windows_pe.then(|| "yes".to_owned())),
    ];
    rows.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}
