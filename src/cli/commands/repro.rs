//! `transom repro`: builds twice and compares.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use fs_err as fs;
use serde::Serialize;
use sha2::Digest as _;

use super::session::{self, Planning, RecipeArguments};
use crate::{
    base::{digest::to_hex, limits::Limits, secret::Secrets},
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        progress::{BuildView, Meter},
        settings, text,
    },
    format::wim::part_path,
    pipeline::{
        self,
        report::{Document, Run, collect, documents},
        repro::{self, CompareError, Difference},
    },
    plan::{self, Plan},
    recipe::{Findings, Recipe},
    store::Store,
};

/// How the folder of a comparison begins.
const PREFIX: &str = "repro-";
/// The file in it that is locked while it is used.
const LOCK: &str = "transom-repro.lock";
/// What that file holds.
const MARK: &[u8] = b"A comparison of `transom repro` works in this folder, which is removed when it ends or was killed.\n";
/// Bytes hashed at a time.
const PIECE: usize = 1 << 20;

/// Build twice with separate caches, and compare byte for byte
///
/// Builds the recipe in a folder of its own, with an empty cache, and once more in another folder with another empty cache and another number of threads; then
/// compares the two outputs, and the documents that must be the same every time (report, bills of materials, provenance). The recipe's own output, its lock
/// file and the usual cache are neither read nor written. Everything made here is removed at the end, after an error and after Ctrl-C too.
///
/// When the outputs differ, it is told where they first do, what lies there, and which entries of which image are different. With --against, it is built
/// once and compared with a file that was built before, here or elsewhere.
///
/// Needs room for two outputs and one cache. With secrets in the recipe the outputs are compared, and no digest is told.
///
/// Exit codes: 0 the same, 10 not the same; else as `transom build`.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom repro server.toml
  transom repro server.toml --against out/server.wim
  transom repro server.toml --work /mnt/scratch"#)]
pub(crate) struct ReproArguments {
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,

    /// Build once, and compare with this WIM (of a split set its first part)
    #[arg(long, value_name = "WIM")]
    pub(crate) against: Option<PathBuf>,

    /// Work in a new folder below this one [default: the cache's folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// Leave the outputs where they are when they differ, and say where
    #[arg(long)]
    pub(crate) keep: bool,

    /// Refuse unless the lock file says the same [default when CI is set]
    #[arg(long)]
    pub(crate) locked: bool,

    /// Print JSON: {same, size, sha256, threads, documents, difference: {offset, part, details, ...}}; of several variants {variants: [...]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// What came of it. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Comparison {
    /// The variant of the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    /// True when everything is the same.
    same: bool,
    /// Size of the first output in bytes, all parts.
    size: u64,
    /// SHA-256 of the first output, of a split set that of each part; none with secrets.
    sha256: Vec<String>,
    /// How many threads each build had.
    threads: Vec<usize>,
    /// The documents that were compared.
    documents: Vec<&'static str>,
    /// Where the outputs differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Difference>,
    /// Where the documents differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    document_differences: Vec<DocumentDifference>,
    /// Where the outputs were left.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<PathBuf>,
}

/// Where a document differs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DocumentDifference {
    /// `.report.json`.
    document: &'static str,
    /// The line, from 1.
    line: usize,
    /// The line of the first build, and that of the second.
    lines: [String; 2],
}

/// Runs `transom repro`.
pub(crate) fn run(arguments: &ReproArguments, context: &Context) -> Result<(), Failure> {
    let recipes = arguments.recipe.load()?;
    if arguments.against.is_some() && recipes.len() > 1 {
        let message = "the recipe has several variants, and a WIM can be compared with one only";
        let problem = Problem::new("usage", message).help("choose it with --variant NAME");
        return Err(problem.exit(Exit::Usage));
    }
    for recipe in &recipes {
        let found = pipeline::missing_secrets(&recipe.secrets, &secrets(recipe));
        Findings::check(found).map_err(|found| failures::findings(&found, Exit::BadInput))?;
    }
    context.interrupt.cooperative();
    let mut comparisons = Vec::new();
    for recipe in &recipes {
        comparisons.push(Reproduction { recipe, arguments, context }.compare()?);
    }
    let same = comparisons.iter().all(|comparison| comparison.same);
    if arguments.json {
        session::json(comparisons, context)?;
    } else {
        comparisons.iter().try_for_each(|comparison| comparison.show(context))?;
    }
    if same { Ok(()) } else { Err(Failure::silent(Exit::Differences)) }
}

/// The values of the recipe's secrets.
fn secrets(recipe: &Recipe) -> Secrets {
    settings::secrets(recipe.secrets.keys(), &|name| std::env::var_os(name))
}

/// A folder for one comparison. It is locked while it is used, so that what a killed one left behind can be told from it.
struct Work {
    folder: tempfile::TempDir,
    lock: Option<File>,
}

impl Work {
    /// Makes one below `parent`, and removes what killed ones left there.
    fn new(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        sweep(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let mut lock = fs::File::create(folder.path().join(LOCK))?.into_file();
        lock.lock()?;
        io::Write::write_all(&mut lock, MARK)?;
        Ok(Self { folder, lock: Some(lock) })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folder where it is.
    fn keep(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        // Without it, the folder is nothing that a later comparison would take for a killed one's.
        self.lock = None;
        if let Err(error) = fs::remove_file(self.folder.path().join(LOCK)) {
            tracing::warn!("{error}");
        }
        self.folder.path().to_owned()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Where an open file holds its folder, the lock goes first.
        self.lock = None;
    }
}

/// Removes the folders of comparisons that were killed: nobody holds their locks.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // One that was kept has no lock file; what is not ours has none that says so.
        let is_left = || {
            let mut lock = fs::File::open(entry.path().join(LOCK))?.into_file();
            lock.try_lock().map_err(io::Error::other)?;
            let mut text = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(&mut lock, 100), &mut text)?;
            Ok::<_, io::Error>(text == MARK)
        };
        if is_one && is_left().unwrap_or(false) {
            tracing::info!("removing {}, which a killed comparison left", entry.path().display());
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// What a build of a comparison gave.
struct Made {
    files: Vec<PathBuf>,
    documents: Vec<Document>,
    threads: usize,
}

/// A comparison of a recipe's builds.
struct Reproduction<'a> {
    recipe: &'a Recipe,
    arguments: &'a ReproArguments,
    context: &'a Context,
}

impl Reproduction<'_> {
    fn compare(&self) -> Result<Comparison, Failure> {
        let parent = match &self.arguments.work {
            Some(folder) => folder.clone(),
            None => {
                // It must be a cache before anything else lies in it.
                session::store(self.context)?;
                self.context.settings.cache_directory()?
            }
        };
        let work = Work::new(&parent).map_err(|error| failures::output(&parent, error))?;
        let threads = rayon::current_num_threads();
        // Half of them; of one, two.
        let others = if threads == 1 { 2 } else { threads.div_ceil(2).min(threads - 1) };
        let first = self.build(1, &work.path().join("first"), threads)?;
        let (files, made) = match &self.arguments.against {
            Some(wim) => (parts_of(wim, first.files.len() > 1), None),
            None => {
                let second = self.build(2, &work.path().join("second").join("build"), others)?;
                (second.files.clone(), Some(second))
            }
        };
        let cancelled = || self.context.interrupt.pressed();
        let difference =
            repro::compare(&first.files, &files, &cancelled).map_err(compare_failure)?;
        let document_differences = match &made {
            Some(second) => differences(&first.documents, &second.documents),
            None => Vec::new(),
        };
        let compared = made.iter().flat_map(|made| &made.documents).map(|one| one.suffix);
        let mut comparison = Comparison {
            variant: self.recipe.variant.clone(),
            same: difference.is_none() && document_differences.is_empty(),
            size: 0,
            sha256: Vec::new(),
            threads: std::iter::once(&first).chain(&made).map(|made| made.threads).collect(),
            documents: compared.collect(),
            difference,
            document_differences,
            kept: None,
        };
        for path in &first.files {
            let (size, digest) =
                self.digest(path).map_err(|error| failures::output(path, error))?;
            comparison.size += size;
            if self.recipe.secrets.is_empty() {
                comparison.sha256.push(digest);
            }
        }
        if cancelled() {
            return Err(interrupted());
        }
        if self.arguments.keep && !comparison.same {
            comparison.kept = Some(work.keep());
        }
        Ok(comparison)
    }

    /// Builds in `folder`, with a cache of its own, which is removed.
    fn build(&self, number: usize, folder: &Path, threads: usize) -> Result<Made, Failure> {
        let context = self.context;
        let of = if self.arguments.against.is_some() { 1 } else { 2 };
        context.printer.note(format_args!(
            "build {number} of {of}: empty cache, {}",
            text::count(threads as u64, "thread", "threads")
        ));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| {
            Problem::new("threads", "no threads can be started").cause(error).exit(Exit::Internal)
        })?;
        pool.install(|| self.build_here(number, folder, threads)).map_err(|failure| {
            match failure.exit {
                Exit::Interrupted => interrupted(),
                _ => failure,
            }
        })
    }

    fn build_here(&self, number: usize, folder: &Path, threads: usize) -> Result<Made, Failure> {
        let context = self.context;
        let (cache, out) = (folder.join("cache"), folder.join("out"));
        let unwritable = |error| failures::output(folder, error);
        fs::create_dir_all(&out).map_err(unwritable)?;
        let store = Store::open(&cache).map_err(|error| failures::store(&cache, error))?;
        let store = Arc::new(store);
        let mut recipe = self.recipe.clone();
        let name = recipe.output.path.value.file_name().unwrap_or_default().to_owned();
        recipe.output.path.value = out.join(name);
        let planning = Planning {
            locked: self.arguments.locked || context.settings.continuous_integration,
            silent: number > 1,
            ..Planning::default()
        };
        let path = &self.arguments.recipe.recipe;
        let plan = session::plan(&recipe, path, &store, planning, context)?;
        if number == 1 {
            self.refuse_without_room(&plan, folder)?;
        }
        let secrets = secrets(&recipe);
        let view = BuildView::new(&context.settings);
        let cancelled = || context.interrupt.pressed();
        let settings = pipeline::Settings {
            no_cache: false,
            inventory: true,
            limits: Limits::default(),
            secrets: &secrets,
            cancelled: &cancelled,
            events: &|event| view.event(&event),
        };
        let outcome = pipeline::build(&plan, &store, &settings);
        view.finish();
        let outcome = outcome.map_err(|error| failures::build(&plan.base.path, error))?;
        let watching = collect::Watching { cancelled: &cancelled, hashed: &|_, _| () };
        let report = collect::collect(&recipe, &plan, &outcome, &store, &watching)
            .map_err(|error| failures::report(&plan.output.path, error))?;
        let mut told = documents(&report, &Run::default());
        // The page shows times too.
        told.retain(|one| {
            !one.bytes.is_empty() && ![".run.json", ".report.html"].contains(&one.suffix)
        });
        drop(store);
        // The second build needs the room, and must not find it.
        fs::remove_dir_all(&cache).map_err(unwritable)?;
        let files = parts_of(&plan.output.path, plan.output.part_limit.is_some());
        Ok(Made { files, documents: told, threads })
    }

    /// Refuses to begin when the disk cannot hold two outputs and a cache; that is guessed from base and inputs.
    fn refuse_without_room(&self, plan: &Plan, folder: &Path) -> Result<(), Failure> {
        let base: u64 = plan.base.stamps.iter().map(|stamp| stamp.size).sum();
        let inputs: u64 = plan.inputs.values().map(|input| input.size).sum();
        let outputs = if self.arguments.against.is_some() { 1 } else { 2 };
        let needed = outputs * (base + inputs) + inputs;
        match plan::output::free_space(folder) {
            Some(free) if free < needed => {
                let message = format!(
                    "there is no room to build in {}: {} are free, and about {} are needed",
                    folder.display(),
                    text::size(free),
                    text::size(needed)
                );
                Err(Problem::new("output::no-room", message)
                    .help("make room, or give a folder on another disk with --work")
                    .exit(Exit::OutputFailed))
            }
            _ => Ok(()),
        }
    }

    /// Size and SHA-256 of a file.
    fn digest(&self, path: &Path) -> io::Result<(u64, String)> {
        use std::io::Read as _;
        let mut file = fs::File::open(path)?;
        let meter = Meter::new(&self.context.settings, "hashing", file.metadata()?.len());
        let (mut hash, mut buffer, mut size) = (sha2::Sha256::new(), vec![0; PIECE], 0);
        while !self.context.interrupt.pressed() {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            size += count as u64;
            meter.at(size);
        }
        meter.finish();
        Ok((size, to_hex(&hash.finalize())))
    }
}

/// The files of an output: itself, and the further parts of a split set that are there.
fn parts_of(output: &Path, is_split: bool) -> Vec<PathBuf> {
    let further = (2..).map(|number| part_path(output, number)).take_while(|path| path.is_file());
    let first = std::iter::once(output.to_owned());
    if is_split { first.chain(further).collect() } else { first.collect() }
}

fn interrupted() -> Failure {
    Problem::new("interrupted", "interrupted; what was built for the comparison is removed")
        .help("nothing of it is kept: the same command begins anew")
        .exit(Exit::Interrupted)
}

fn compare_failure(error: CompareError) -> Failure {
    match error {
        CompareError::Cancelled => interrupted(),
        CompareError::Unreadable { path, source } => {
            failures::input(&path.display().to_string(), source)
        }
    }
}

/// Where documents of two builds differ.
fn differences(first: &[Document], second: &[Document]) -> Vec<DocumentDifference> {
    let empty = Vec::new();
    let bytes = |all: &'_ [Document], suffix: &str| {
        all.iter().find(|one| one.suffix == suffix).map(|one| one.bytes.clone())
    };
    let mut suffixes: Vec<&'static str> =
        first.iter().chain(second).map(|document| document.suffix).collect();
    let mut seen = std::collections::BTreeSet::new();
    suffixes.retain(|suffix| seen.insert(*suffix));
    let difference = |document: &&'static str| {
        let left = bytes(first, document).unwrap_or_else(|| empty.clone());
        let right = bytes(second, document).unwrap_or_else(|| empty.clone());
        let (line, one, other) = repro::first_line(&left, &right)?;
        Some(DocumentDifference { document, line, lines: [one, other] })
    };
    suffixes.iter().filter_map(difference).collect()
}

impl Comparison {
    /// Prints it.
    fn show(&self, context: &Context) -> Result<(), Failure> {
        let mut out = context.printer.stdout();
        let variant =
            self.variant.as_ref().map(|variant| format!("{variant}: ")).unwrap_or_default();
        let size = text::size(self.size);
        if self.same {
            let threads: Vec<String> = self.threads.iter().map(ToString::to_string).collect();
            out.line(format_args!(
                "{variant}the same bytes: {size}, built with {} threads",
                threads.join(" and ")
            ))?;
            for digest in &self.sha256 {
                out.line(format_args!("sha256 {digest}"))?;
            }
            if !self.documents.is_empty() {
                out.line(format_args!("the same documents: {}", self.documents.join(", ")))?;
            }
            return out.finish();
        }
        if let Some(difference) = &self.difference {
            let [one, other] = difference.sizes;
            out.line(format_args!(
                "{variant}not the same: they first differ at offset {:#x} of {one} and {other} bytes",
                difference.offset
            ))?;
            out.line(format_args!("there: {}", difference.part))?;
            for detail in &difference.details {
                out.line(format_args!("  {detail}"))?;
            }
        }
        for document in &self.document_differences {
            let [one, other] = &document.lines;
            out.line(format_args!(
                "{variant}{} differs in line {}",
                document.document, document.line
            ))?;
            out.line(format_args!("  {one}"))?;
            out.line(format_args!("  {other}"))?;
        }
        if let Some(kept) = &self.kept {
            out.line(format_args!("left in {}", kept.display()))?;
        }
        out.finish()
    }
}
