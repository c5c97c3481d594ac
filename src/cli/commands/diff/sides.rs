//! The two sides of a comparison: found, opened, and their images paired.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{DiffArguments, report::Label};
use crate::{
    base::limits::Limits,
    cli::{
        app::Context,
        commands::{
            session,
            wim::select::{self, ImageChoice},
        },
        exit::{Exit, Failure, Problem},
        failures,
    },
    format::wim::{Element, Wim},
    image::Image,
    pipeline::past::{self, PastError},
    plan::{
        memory::{OutputRecord, PastBuild},
        state,
    },
    recipe::{self, Recipe},
    store::Store,
};

/// Both sides, opened and paired.
pub(super) struct Sides {
    pub(super) first: Opened,
    pub(super) second: Opened,
    /// The images to compare, in the order of the first side.
    pub(super) pairs: Vec<(OpenImage, OpenImage)>,
    /// Images without a counterpart.
    pub(super) only_in_first: Vec<Label>,
    pub(super) only_in_second: Vec<Label>,
}

/// A side.
pub(super) struct Opened {
    /// What people call it.
    pub(super) what: String,
    images: Vec<OpenImage>,
}

/// An image of a side.
pub(super) struct OpenImage {
    what: String,
    index: u32,
    name: Option<String>,
    /// What its WIM says of it.
    pub(super) said: Said,
    source: Source,
}

/// What a WIM says of an image.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// The whole element; `None` for an image that is made in memory.
    pub(super) rest: Option<Element>,
}

impl Said {
    fn of(wim: &Wim, index: u32) -> Self {
        let element = wim.xml().image(index);
        let description = element.and_then(|element| element.text(&["DESCRIPTION"]));
        Self {
            name: wim.xml().image_name(index).map(str::to_owned),
            description: description.filter(|text| !text.is_empty()).map(str::to_owned),
            rest: element.cloned(),
        }
    }

    /// Name and description as the WIM's elements.
    pub(super) fn leaves(&self) -> BTreeMap<String, String> {
        let said = [("NAME", &self.name), ("DESCRIPTION", &self.description)];
        said.iter()
            .filter_map(|(name, text)| Some(((*name).to_owned(), (*text).clone()?)))
            .collect()
    }
}

/// Where an image comes from.
enum Source {
    Wim(Arc<Wim>, PathBuf),
    Memory(Box<Image>),
}

/// A recipe's build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    Last,
    Previous,
}

impl OpenImage {
    /// What it is called.
    pub(super) fn label(&self) -> Label {
        Label { what: self.what.clone(), index: self.index, name: self.name.clone() }
    }

    /// The image.
    pub(super) fn open(self) -> Result<Image, Failure> {
        match self.source {
            Source::Memory(image) => Ok(*image),
            Source::Wim(wim, path) => Image::open(wim, self.index, &Limits::default())
                .map_err(|error| failures::image(&path, error)),
        }
    }
}

impl Sides {
    /// Opens both sides.
    pub(super) fn open(arguments: &DiffArguments, context: &Context) -> Result<Self, Failure> {
        let opener = Opener { arguments, context };
        let (first, second) = match (&arguments.second, recipe_of(&arguments.first)) {
            (Some(second), _) => (opener.side(&arguments.first)?, opener.side(second)?),
            (None, Some((path, Build::Last))) => {
                (opener.build(&path, Build::Previous)?, opener.build(&path, Build::Last)?)
            }
            (None, _) => {
                return Err(Problem::new("usage", "two images are needed, or one recipe")
                    .help("`transom diff A.wim B.wim`, or `transom diff RECIPE` for its last two builds")
                    .exit(Exit::Usage));
            }
        };
        if arguments.variant.is_some() || !arguments.set.is_empty() {
            let sides = std::iter::once(&arguments.first).chain(&arguments.second);
            if sides.filter_map(|side| recipe_of(side)).next().is_none() {
                return Err(Failure::usage("--variant and --set go with a recipe"));
            }
        }
        pair(first, second)
    }
}

/// What opens a side.
struct Opener<'a> {
    arguments: &'a DiffArguments,
    context: &'a Context,
}

impl Opener<'_> {
    fn side(&self, text: &str) -> Result<Opened, Failure> {
        match recipe_of(text) {
            Some((path, build)) => self.build(&path, build),
            None => self.wim(text),
        }
    }

    /// A WIM, or one image of it.
    fn wim(&self, text: &str) -> Result<Opened, Failure> {
        let (path, choice) = split_choice(text);
        let wim = select::open(&path, self.context)?;
        let indices = match choice {
            None => (1..=wim.image_count()).collect(),
            Some(choice) => choose(&wim, &path, &choice)?,
        };
        Ok(of_wim(&path, &wim, indices))
    }

    /// A build of a recipe.
    fn build(&self, path: &Path, build: Build) -> Result<Opened, Failure> {
        let recipe = self.recipe(path)?;
        let output = &recipe.output.path.value;
        if build == Build::Last && recipe.secrets.is_empty() {
            if !output.exists() {
                return Err(Problem::new(
                    "diff::not-built",
                    format!("{}, the output of {}, is not there", output.display(), path.display()),
                )
                .help(format!("`transom build {}` makes it", path.display()))
                .exit(Exit::BadInput));
            }
            let wim = select::open(output, self.context)?;
            let indices = (1..=wim.image_count()).collect();
            return Ok(of_wim(output, &wim, indices));
        }
        let store = session::store(self.context)?;
        let record = self.record(output, &store)?;
        let (past, what) = match build {
            Build::Last => (record.build, "the last build"),
            Build::Previous => {
                let previous = record.previous.ok_or_else(|| no_previous(output))?;
                (previous, "the build before the last")
            }
        };
        self.past(&recipe, path, &past, what, &store)
    }

    /// The recipe, or the variant of it that is chosen.
    fn recipe(&self, path: &Path) -> Result<Recipe, Failure> {
        let variant = self.arguments.variant.as_deref();
        let mut recipes = recipe::load_variants(path, &self.arguments.set, variant)
            .map_err(|findings| failures::recipe(&findings))?;
        match (recipes.len(), recipes.pop()) {
            (1, Some(recipe)) => Ok(recipe),
            (count, last) => {
                let variants =
                    recipes.iter().chain(&last).filter_map(|recipe| recipe.variant.clone());
                let names: Vec<String> = variants.collect();
                Err(Problem::new(
                    "diff::which-variant",
                    format!("{} has {count} variants: choose one with --variant", path.display()),
                )
                .help(format!("its variants are: {}", names.join(", ")))
                .exit(Exit::Usage))
            }
        }
    }

    fn record(&self, output: &Path, store: &Store) -> Result<OutputRecord, Failure> {
        let folder = self.context.settings.cache_directory()?;
        let record =
            state::last_build_of(output, store).map_err(|error| failures::store(&folder, error))?;
        record.ok_or_else(|| {
            Problem::new(
                "diff::not-built",
                format!(
                    "{} was not built with the cache in {}",
                    output.display(),
                    folder.display()
                ),
            )
            .help("build it, or name the cache that it was built with by --cache-dir")
            .exit(Exit::BadInput)
        })
    }

    /// The images of a past build, made again in memory.
    fn past(
        &self,
        recipe: &Recipe,
        path: &Path,
        build: &PastBuild,
        which: &str,
        store: &Arc<Store>,
    ) -> Result<Opened, Failure> {
        let what = format!("{which} of {}", path.display());
        let images = past::images(build, store)
            .map_err(|error| self.cannot_replay(&what, &recipe.output.path.value, error))?;
        let image = |(place, past): (u32, past::PastImage)| OpenImage {
            what: what.clone(),
            index: place,
            said: Said {
                name: past.name.clone(),
                description: past.description.filter(|text| !text.is_empty()),
                rest: None,
            },
            name: past.name,
            source: Source::Memory(Box::new(past.image)),
        };
        let images = (1..).zip(images).map(image).collect();
        Ok(Opened { what, images })
    }

    fn cannot_replay(&self, what: &str, output: &Path, error: PastError) -> Failure {
        let help = match &error {
            PastError::NotRemembered => {
                "build it again with this version; the build after that can be compared with it"
                    .to_owned()
            }
            PastError::Base { .. } | PastError::BaseChanged(_) => format!(
                "put that base back, or keep a copy of an output and name it: `transom diff COPY.wim {}`",
                output.display()
            ),
            PastError::Gone { .. } | PastError::Replay { .. } => format!(
                "the cache keeps what earlier builds need for as long as there is room for it; to compare later, keep a copy of an output and name it: \
                 `transom diff COPY.wim {}`",
                output.display()
            ),
            PastError::Image { .. } => "`transom wim verify` of the base may say more".to_owned(),
            PastError::Store(_) => "`transom cache stat` may say more".to_owned(),
        };
        Problem::new("diff::past-build", format!("{what} cannot be made again"))
            .cause(error)
            .help(help)
            .exit(Exit::BadInput)
    }
}

fn no_previous(output: &Path) -> Failure {
    Problem::new(
        "diff::no-previous-build",
        format!("nothing is remembered of a build of {} before the last", output.display()),
    )
    .help(
        "the cache remembers the last build and the one before it that gave something else: change the recipe and build once more, or name another image",
    )
    .exit(Exit::BadInput)
}

/// Images of an open WIM.
fn of_wim(path: &Path, wim: &Arc<Wim>, indices: Vec<u32>) -> Opened {
    let what = path.display().to_string();
    let image = |index: u32| OpenImage {
        what: what.clone(),
        index,
        name: wim.xml().image_name(index).map(str::to_owned),
        said: Said::of(wim, index),
        source: Source::Wim(Arc::clone(wim), path.to_owned()),
    };
    let images = indices.into_iter().map(image).collect();
    Opened { what: what.clone(), images }
}

/// The recipe that a text names, and which build of it.
fn recipe_of(text: &str) -> Option<(PathBuf, Build)> {
    let is_recipe = |text: &str| {
        Path::new(text).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
    };
    match text.strip_suffix("~1") {
        Some(path) if is_recipe(path) => Some((path.into(), Build::Previous)),
        _ => is_recipe(text).then(|| (text.into(), Build::Last)),
    }
}

/// The file that a text names, and the image in it. A drive letter's colon is none of ours, and a file's own colon is one of its name.
fn split_choice(text: &str) -> (PathBuf, Option<String>) {
    let whole = PathBuf::from(text);
    if whole.exists() {
        return (whole, None);
    }
    let colons = text.char_indices().filter(|(at, character)| *character == ':' && *at != 1);
    let mut parts: Vec<(&str, &str)> =
        colons.map(|(at, _)| (&text[..at], &text[at + 1..])).collect();
    // A file of one letter in this folder can only be meant when it is there.
    if text.as_bytes().get(1) == Some(&b':') && Path::new(&text[..1]).is_file() {
        parts.insert(0, (&text[..1], &text[2..]));
    }
    let there = parts.iter().rev().find(|(path, _)| Path::new(path).is_file());
    // Where nothing is there, the file that is missing is told without the image.
    let ends_well = |(path, _): &&(&str, &str)| {
        let ending = Path::new(path).extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ["wim", "swm", "esd"].contains(&ending.to_lowercase().as_str()))
    };
    match there.or_else(|| parts.iter().find(ends_well)) {
        Some((path, choice)) => (path.into(), Some((*choice).to_owned())),
        None => (whole, None),
    }
}

/// The image of that number, or else of that name.
fn choose(wim: &Wim, path: &Path, choice: &str) -> Result<Vec<u32>, Failure> {
    let number = choice.parse::<u32>().ok().filter(|number| *number > 0);
    let named = (1..=wim.image_count()).any(|index| wim.xml().image_name(index) == Some(choice));
    let chosen = match number {
        Some(index) if index <= wim.image_count() || !named => {
            ImageChoice { index: Some(index), image: None }
        }
        _ => ImageChoice { index: None, image: Some(choice.to_owned()) },
    };
    chosen.any(wim, path)
}

/// Pairs the images of two sides: the only ones; else those of one name; else those of one number.
fn pair(mut first: Opened, mut second: Opened) -> Result<Sides, Failure> {
    let mut ones = std::mem::take(&mut first.images);
    let mut others: Vec<Option<OpenImage>> =
        std::mem::take(&mut second.images).into_iter().map(Some).collect();
    let mut pairs = Vec::new();
    let mut left = Vec::new();
    if ones.len() == 1 && others.len() == 1 {
        pairs.extend(ones.pop().zip(others.pop().flatten()));
    } else {
        let names = |image: &OpenImage| image.name.clone().unwrap_or_default().to_lowercase();
        let by_name = ones.iter().any(|one| {
            let name = names(one);
            !name.is_empty() && others.iter().flatten().any(|other| names(other) == name)
        });
        if !by_name && (ones.len() == 1 || others.len() == 1) {
            let several: Vec<Label> = match ones.len() {
                1 => others.iter().flatten().map(OpenImage::label).collect(),
                _ => ones.iter().map(OpenImage::label).collect(),
            };
            return Err(which_image(&several));
        }
        for one in ones {
            let fits = |other: &OpenImage| match by_name {
                true => !names(&one).is_empty() && names(other) == names(&one),
                false => other.index == one.index,
            };
            let found = others.iter_mut().find(|other| other.as_ref().is_some_and(fits));
            match found.and_then(Option::take) {
                Some(other) => pairs.push((one, other)),
                None => left.push(one),
            }
        }
    }
    let only_in_first = left.iter().map(OpenImage::label).collect();
    let only_in_second = others.iter().flatten().map(OpenImage::label).collect();
    Ok(Sides { first, second, pairs, only_in_first, only_in_second })
}

/// One image is to be compared with one of several, and none has its name.
fn which_image(several: &[Label]) -> Failure {
    let what = several.first().map(|label| label.what.as_str()).unwrap_or_default();
    let list = several.iter().fold(String::new(), |list, label| {
        format!(
            "{list}\n  {what}:{}  {}",
            label.index,
            label.name.as_deref().unwrap_or("(no name)")
        )
    });
    let count = several.len();
    Problem::new(
        "diff::which-image",
        format!("{what} has {count} images, and none has the name of the other side's"),
    )
    .help(format!("choose one:{list}"))
    .exit(Exit::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_a_file_stands_behind_a_colon() {
        let folder = tempfile::tempdir().unwrap();
        let wim = folder.path().join("a.wim");
        fs_err::write(&wim, b"").unwrap();
        let text = |rest: &str| format!("{}{rest}", wim.display());
        let split = |text: &str| split_choice(text);
        assert_eq!(split(&text("")), (wim.clone(), None));
        assert_eq!(split(&text(":2")), (wim.clone(), Some("2".into())));
        assert_eq!(split(&text(":Server: Core")), (wim.clone(), Some("Server: Core".into())));
        let colon = folder.path().join("b:1.wim");
        fs_err::write(&colon, b"").unwrap();
        assert_eq!(split(&colon.display().to_string()), (colon.clone(), None));
        assert_eq!(split(&format!("{}:1", colon.display())), (colon, Some("1".into())));
        // Nothing is there: the file is what ends as a WIM does, and a drive letter is no file.
        assert_eq!(split(r"C:\x.wim:3"), (r"C:\x.wim".into(), Some("3".into())));
        assert_eq!(split(r"C:\x.wim"), (r"C:\x.wim".into(), None));
    }

    #[test]
    fn recipes_end_in_toml() {
        assert_eq!(recipe_of("x.toml"), Some(("x.toml".into(), Build::Last)));
        assert_eq!(recipe_of("x.TOML~1"), Some(("x.TOML".into(), Build::Previous)));
        assert_eq!(recipe_of("x.wim"), None);
        assert_eq!(recipe_of("x.wim~1"), None);
    }
}
