//! Loading: the files of a recipe become layers, the layers one tree, the tree a [`Recipe`].
//!
//! A recipe's `extends` come before it, each with its own before that; a file reached twice counts once, at its first place. Then come the recipe
//! and each `--set`. Loading looks at no other file: whether inputs exist is for later.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    decode,
    finding::{Finding, Findings, enough, shown},
    key_path::KeyPath,
    merge,
    model::{PolicySection, Recipe},
    node::{Entry, Node, Table, Value, read_document, read_value},
    paths,
    sections::ROOT,
    shape::{self, Shape},
    source::{Origin, Source, Sources},
    variants, vars,
};

/// Largest recipe file, in bytes.
const LARGEST: usize = 16 << 20;
/// Most files that may extend one another in a row.
const DEPTH: usize = 32;
/// Most files that a recipe may be made of.
const FILES: usize = 256;

/// The whole recipe as a shape.
static RECIPE: Shape = Shape::Table(&ROOT);

/// Reads the files that recipes are made of.
pub trait Files {
    /// The bytes of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What tells a file from others, however its path is written.
    fn identity(&self, path: &Path) -> PathBuf;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostFiles;

impl Files for HostFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
        fs_err::File::open(path)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }
}

/// Files held in memory, by path with `/`.
impl Files for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = paths::join("", &path.to_string_lossy());
        self.get(&name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        PathBuf::from(paths::join("", &path.to_string_lossy()))
    }
}

/// Loads the recipe at `path`, then lays each of `sets` (`key.path=value`) over it. For recipes without variants.
///
/// # Errors
/// Everything that could be found wrong with it, in the order of its texts; that it has variants, when it has.
pub fn load(path: &Path, sets: &[String]) -> Result<Recipe, Findings> {
    load_from(&HostFiles, path, sets)
}

/// As [`load`], with files from elsewhere.
///
/// # Errors
/// As [`load`].
pub fn load_from(files: &dyn Files, path: &Path, sets: &[String]) -> Result<Recipe, Findings> {
    let read = read_layers(files, path, sets)?;
    let mut findings = Vec::new();
    let merged = read.merged(None, &mut findings);
    if let Some(matrix) = merged.entry("matrix") {
        return Err(Finding::at(
            &matrix.origin,
            "recipe::variants",
            "this recipe has variants, and none is chosen",
            "here they are",
            "choose one",
        )
        .into());
    }
    read.decode(merged, None, findings)
}

/// Loads the recipe at `path` as [`load`] does: the recipe itself when it has no `[matrix]`, else its variants in their order, or the one called
/// `only`.
///
/// # Errors
/// As [`load`]. What is wrong with several variants is said once.
pub fn load_variants(
    path: &Path,
    sets: &[String],
    only: Option<&str>,
) -> Result<Vec<Recipe>, Findings> {
    let read = read_layers(&HostFiles, path, sets)?;
    let mut findings = Vec::new();
    let merged = read.merged(None, &mut findings);
    let Some(matrix) = merged.entry("matrix") else {
        if let Some(name) = only {
            findings.push(Finding::nowhere(
                "recipe::no-such-variant",
                format!("there is no variant `{}`: the recipe has no [matrix]", shown(name)),
                "leave `--variant` out",
            ));
        }
        return Ok(vec![read.decode(merged, None, findings)?]);
    };
    let variants = variants::named(matrix)?;
    if let Some(name) = only {
        variants::choose(name, &variants)?;
    }
    let loaded: Vec<_> = variants
        .iter()
        .map(|variant| {
            let mut findings = Vec::new();
            let merged = read.merged(Some(variant), &mut findings);
            read.decode(merged, Some(&variant.key), findings)
        })
        .collect();
    variants::gather(loaded, &variants, only)
}

/// Loads the rules of `[policy]` from a recipe, or from a file that has `[policy]` (with `[vars]`, `extends` ...) and nothing else. What else a recipe says is
/// not looked at; of a recipe with variants these are the rules of all of them.
///
/// # Errors
/// Everything that could be found wrong with the rules; that there are none.
pub fn load_policy(path: &Path, sets: &[String]) -> Result<PolicySection, Findings> {
    let read = read_layers(&HostFiles, path, sets)?;
    let mut findings = Vec::new();
    let merged = read.merged(None, &mut findings);
    let main = Origin::start_of(&read.texts.main());
    for entry in merged.entries().iter().filter(|entry| ROOT.key(&entry.key).is_none()) {
        findings.push(shape::unknown_key(entry, &ROOT));
    }
    let wanted = merged.into_entries().into_iter();
    let wanted = wanted.filter(|entry| ["vars", "policy"].contains(&entry.key.as_str()));
    let mut root = Table::from_entries(wanted.collect());
    vars::substitute(&mut root, None, &mut findings);
    for entry in root.entries() {
        if let Some(key) = ROOT.key(&entry.key) {
            shape::check(&entry.node, &entry.key, key.shape, &mut findings);
        }
    }
    let empty = Table::default();
    let table = root.get("policy").and_then(Node::table).unwrap_or(&empty);
    let policy = decode::policy::policy(table, &mut findings);
    if findings.is_empty() && policy.spec.is_empty() {
        let place = root.entry("policy").map_or(&main, |entry| &entry.origin);
        findings.push(Finding::at(
            place,
            "recipe::no-rules",
            "there is no rule to check",
            "no rules here",
            "write rules under [policy]: minimum-build = \"26100.4061\", no-pending = true, ...",
        ));
    }
    read.texts.sort(&mut findings);
    Findings::check(findings)?;
    Ok(policy)
}

/// The texts of a recipe as layers.
struct Layers {
    files: Vec<Layer>,
    sets: Vec<Layer>,
    texts: Texts,
}

/// Reads the recipe at `path`, what it extends, and `sets`.
fn read_layers(files: &dyn Files, path: &Path, sets: &[String]) -> Result<Layers, Findings> {
    let mut loader = Loader::new(files);
    loader.main(path);
    let of_files = std::mem::take(&mut loader.layers);
    for (index, set) in sets.iter().enumerate() {
        loader.set(index + 1, set, path);
    }
    let Loader { layers, sources, findings, .. } = loader;
    Findings::check(findings)?;
    Ok(Layers { files: of_files, sets: layers, texts: sources })
}

impl Layers {
    /// The layers as one tree: files, then the variant, then the command line. With a variant, `matrix` is no longer in it.
    fn merged(&self, variant: Option<&Entry>, findings: &mut Vec<Finding>) -> Table {
        let mut root = Table::default();
        let own = variant.map(|variant| variants::layer(variant, findings));
        for layer in self.files.iter().chain(&own).chain(&self.sets) {
            for (path, origin) in &layer.drops {
                if enough(findings) {
                    break;
                }
                findings.extend(merge::drop_entry(&mut root, path, origin).err());
            }
            merge::merge(&mut root, layer.table.clone(), Some(&RECIPE));
        }
        if variant.is_some() {
            root.remove("matrix");
        }
        root
    }

    /// What the merged tree says.
    fn decode(
        &self,
        mut root: Table,
        variant: Option<&str>,
        mut findings: Vec<Finding>,
    ) -> Result<Recipe, Findings> {
        let texts = &self.texts;
        vars::substitute(&mut root, variant, &mut findings);
        let main = texts.main();
        shape::check_table(&root, &Origin::start_of(&main), &ROOT, &mut findings);
        let recipe = decode::recipe(&root, variant, texts.all.clone(), &mut findings);
        texts.sort(&mut findings);
        Findings::check(findings)?;
        recipe.ok_or_else(|| {
            Finding::at(
                &Origin::start_of(&main),
                "recipe::internal",
                "the recipe could not be understood, and nothing says why",
                "in this recipe",
                "this is a mistake in Transom; please report it with the recipe",
            )
            .into()
        })
    }
}

/// One file or `--set`.
pub(super) struct Layer {
    /// Key paths to drop from what is below, each with its place.
    pub(super) drops: Vec<(String, Origin)>,
    pub(super) table: Table,
}

/// The texts, and which of them is the recipe.
struct Texts {
    all: Sources,
    main: Option<Arc<Source>>,
}

impl Texts {
    fn main(&self) -> Arc<Source> {
        self.main.clone().unwrap_or_else(|| Arc::new(Source::new("recipe", "")))
    }

    /// Puts findings into the order of their places: texts as they were merged, then position.
    fn sort(&self, findings: &mut [Finding]) {
        let place = |finding: &Finding| {
            let label = finding.labels().next()?;
            let index =
                self.all.iter().position(|source| Arc::ptr_eq(source, label.origin.source()))?;
            Some((index, label.origin.span().start))
        };
        findings.sort_by_cached_key(place);
    }
}

struct Loader<'a> {
    files: &'a dyn Files,
    layers: Vec<Layer>,
    sources: Texts,
    /// Files that are being loaded, outermost first, with the place that named each.
    visiting: Vec<(PathBuf, Option<Origin>)>,
    done: BTreeSet<PathBuf>,
    findings: Vec<Finding>,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            layers: Vec::new(),
            sources: Texts { all: Sources::default(), main: None },
            visiting: Vec::new(),
            done: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    /// The recipe itself and all that it extends.
    fn main(&mut self, path: &Path) {
        let name = paths::join("", &path.to_string_lossy());
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        self.file(path, Source { folder, ..Source::new(name, "") }, None);
    }

    /// Loads a file, what it extends before it. `source` is complete but for its text.
    fn file(&mut self, path: &Path, mut source: Source, named_at: Option<&Origin>) {
        let identity = self.files.identity(path);
        if let Some(position) = self.visiting.iter().position(|(other, _)| *other == identity) {
            self.cycle(position, named_at);
            return;
        }
        if self.done.contains(&identity) {
            return;
        }
        if self.visiting.len() >= DEPTH || self.done.len() >= FILES {
            self.push_at(
                named_at,
                "recipe::too-many-files",
                "this recipe extends too many others".to_owned(),
                &format!("at most {DEPTH} in a row and {FILES} in all"),
            );
            return;
        }
        match self.read(path) {
            Ok(text) => source.text = text,
            Err(what) => {
                let message = format!("cannot read `{}`: {what}", source.name);
                self.push_at(named_at, "recipe::unreadable", message, "");
                self.done.insert(identity);
                return;
            }
        }
        let source = Arc::new(source);
        if named_at.is_none() {
            self.sources.main = Some(Arc::clone(&source));
        }
        self.visiting.push((identity.clone(), named_at.cloned()));
        match read_document(&source) {
            Ok(table) => {
                let layer = self.layer(table, Some(&source));
                self.layers.push(layer);
            }
            Err(findings) => self.findings.extend(findings),
        }
        self.sources.all.push(source);
        self.visiting.pop();
        self.done.insert(identity);
    }

    /// Takes `extends` and `drop` out of a text's table; loads what it extends when `source` may.
    fn layer(&mut self, mut table: Table, source: Option<&Arc<Source>>) -> Layer {
        let mut control = Vec::new();
        for name in ["extends", "drop"] {
            if let (Some(entry), Some(key)) = (table.remove(name), ROOT.key(name)) {
                let before = self.findings.len();
                shape::check(&entry.node, name, key.shape, &mut self.findings);
                if self.findings.len() == before {
                    control.push(entry);
                }
            }
        }
        let mut drops = Vec::new();
        for entry in control {
            let texts = entry.node.list().unwrap_or_default();
            for node in texts {
                let Some(text) = node.text() else { continue };
                if text.contains("${") {
                    self.findings.push(Finding::at(
                        &node.origin,
                        "recipe::not-here",
                        format!("`{}` cannot use variables", entry.key),
                        "variables are known only after merging",
                        "write it out",
                    ));
                    continue;
                }
                match (entry.key.as_str(), source) {
                    ("drop", _) => drops.push((text.to_owned(), node.origin.clone())),
                    (_, Some(source)) => self.extend(source, text, &node.origin),
                    (_, None) => self.findings.push(Finding::at(
                        &entry.origin,
                        "recipe::not-here",
                        "`--set` cannot extend another recipe",
                        "only files can",
                        "write a recipe that extends both",
                    )),
                }
            }
        }
        Layer { drops, table }
    }

    /// Loads the file that `text` in `by` names.
    fn extend(&mut self, by: &Source, text: &str, origin: &Origin) {
        let path = paths::resolve(by, text);
        let from_recipe = paths::join(&by.folder_from_recipe, text);
        let source = Source {
            folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            folder_from_recipe: paths::folder(&from_recipe).to_owned(),
            ..Source::new(paths::join(paths::folder(&by.name), text), "")
        };
        self.file(&path, source, Some(origin));
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        let bytes = self.files.read(path).map_err(|error| match error.kind() {
            // Our words where there are some: the host's differ from host to host.
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            _ => error.to_string(),
        })?;
        if bytes.len() > LARGEST {
            return Err(format!("it is larger than {} MiB", LARGEST >> 20));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            format!("it is not UTF-8 text (byte {at}); save it as UTF-8")
        })
    }

    fn push_at(
        &mut self,
        origin: Option<&Origin>,
        code: &'static str,
        message: String,
        help: &str,
    ) {
        self.findings.push(match origin {
            Some(origin) => Finding::at(origin, code, message, "named here", help),
            None => Finding::nowhere(code, message, help),
        });
    }

    /// `named_at` names a file that is being loaded, the one at `position`.
    fn cycle(&mut self, position: usize, named_at: Option<&Origin>) {
        let Some(named_at) = named_at else { return };
        let mut finding = Finding::at(
            named_at,
            "recipe::extends-cycle",
            "recipes extend one another in a circle",
            "leads back to a recipe that led here",
            "take one of the `extends` away",
        );
        if let Some((_, Some(first))) = self.visiting.get(position + 1) {
            finding = finding.and(first, "the circle begins here");
        }
        self.findings.push(finding);
    }

    /// A `--set` of the command line. Its paths are relative to the recipe at `recipe`.
    fn set(&mut self, number: usize, text: &str, recipe: &Path) {
        let folder = recipe.parent().map(Path::to_path_buf).unwrap_or_default();
        let source = Arc::new(Source { folder, ..Source::new(format!("--set {number}"), text) });
        match read_set(&source) {
            Ok(table) => {
                let layer = self.layer(table, None);
                self.layers.push(layer);
            }
            Err(findings) => self.findings.extend(findings),
        }
        self.sources.all.push(source);
    }
}

/// True for `{ env = "NAME" }`, which is no text, though text is expected.
fn is_secret(source: &Arc<Source>, span: &std::ops::Range<usize>) -> bool {
    source.text[span.clone()].starts_with('{')
        && read_value(source, span.clone())
            .is_ok_and(|node| node.table().is_some_and(|table| table.get("env").is_some()))
}

/// Reads `key.path=value`. The value is TOML; where text is expected, or when it is no TOML, it need not be quoted.
fn read_set(source: &Arc<Source>) -> Result<Table, Vec<Finding>> {
    let text = &source.text;
    let malformed = |span, what: &str| {
        vec![Finding::at(
            &Origin::new(source, span),
            "recipe::key-path",
            "this is not `key.path=value`",
            what,
            "for example --set services.RemoteRegistry=disabled",
        )]
    };
    let path = KeyPath::read(text).map_err(|error| malformed(error.span, error.what))?;
    let equals = path.end;
    if !text[equals..].starts_with('=') {
        return Err(malformed(equals..text.len(), "expected `=` and a value here"));
    }
    let start = text.len() - text[equals + 1..].trim_start().len();
    let span = start..text.trim_end().len().max(start);
    let mut shape = Some(&RECIPE);
    for (key, _) in &path.parts {
        shape = shape.and_then(|shape| shape.child(key));
    }
    let raw = || Node {
        value: Value::Text(text[span.clone()].to_owned()),
        origin: Origin::new(source, span.clone()),
    };
    let quoted = text[span.clone()].starts_with(['"', '\'']);
    let structured = quoted || text[span.clone()].starts_with(['[', '{']);
    let mut node = match shape {
        Some(shape) if shape.is_text() && !quoted && !is_secret(source, &span) => raw(),
        _ => match read_value(source, span.clone()) {
            Ok(node) => node,
            Err(findings) if structured => return Err(findings),
            Err(_) => raw(),
        },
    };
    for (key, span) in path.parts.into_iter().rev() {
        let origin = Origin::new(source, span);
        let entry = Entry { key, origin: origin.clone(), node };
        node = Node { value: Value::Table(Table::from_entries(vec![entry])), origin };
    }
    match node.value {
        Value::Table(table) => Ok(table),
        _ => Err(malformed(0..text.len(), "a key is missing")),
    }
}
