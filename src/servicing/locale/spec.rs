//! What a recipe says of languages, formats, keyboards and the time zone.

use crate::{
    image::{Image, ImageFacts},
    servicing::{
        error::{Problem, ServicingError},
        inputs::{BlobSink, InputId, Inputs},
    },
};

use super::{NAME, apply, registry::Registry, resolve};

/// What shall be set; what is not given stays. Tags are as Windows writes them: `de-DE`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocaleSpec {
    /// Everything below as a retail image of this language has it, the time zone too; single settings win.
    pub defaults: Option<String>,
    /// Display language, system locale, user locale and keyboards of this language; single settings win.
    pub all: Option<String>,
    /// Display language of the system: an installed language.
    pub ui: Option<String>,
    /// What is shown where a partly localised display language has no text.
    pub ui_fallback: Option<String>,
    /// Language of programs that do not know Unicode.
    pub system: Option<String>,
    /// Formats and location of new users and the logon screen.
    pub user: Option<String>,
    /// Keyboards and input methods, the default one first: `0407:00000407`, `LCID:{class}{profile}`, or a tag for its default ones.
    pub input: Vec<String>,
    /// Key name of a time zone; with `_dstoff` at its end without daylight saving time.
    pub timezone: Option<String>,
    /// The layered keyboard driver of Japanese and Korean keyboards: 1 to 6.
    pub layered_driver: Option<u8>,
}

/// What `prepare` made of the inputs: there are none.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedLocale {}

impl LocaleSpec {
    /// True when nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The languages that have to be installed for it.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        let all = self.defaults.as_deref().or(self.all.as_deref());
        [self.ui.as_deref().or(all), self.ui_fallback.as_deref()].into_iter().flatten()
    }

    pub(in crate::servicing) fn title(&self) -> String {
        let mut parts = Vec::new();
        let texts = [
            ("defaults", &self.defaults),
            ("all", &self.all),
            ("ui", &self.ui),
            ("ui-fallback", &self.ui_fallback),
            ("system", &self.system),
            ("user", &self.user),
        ];
        let mut add = |name: &str, value: &str| parts.push(format!("{name} {value}"));
        for (name, value) in texts {
            value.iter().for_each(|value| add(name, value));
        }
        if !self.input.is_empty() {
            add("input", &self.input.join(" "));
        }
        self.timezone.iter().for_each(|zone| add("timezone", zone));
        self.layered_driver.iter().for_each(|number| add("layered driver", &number.to_string()));
        format!("locale: {}", parts.join(", "))
    }

    #[expect(clippy::unused_self, reason = "every operation answers this, for some there is more")]
    pub(in crate::servicing) fn inputs(&self) -> Vec<InputId> {
        Vec::new()
    }

    /// `None`: there is nothing to prepare.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "every operation answers this, for some there is more"
    )]
    pub(in crate::servicing) fn prepare(
        &self,
        _inputs: &dyn Inputs,
        _blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedLocale>, ServicingError> {
        Ok(None)
    }

    pub(in crate::servicing) fn apply(
        &self,
        _prepared: Option<&PreparedLocale>,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let build = image.facts().build;
        let mut registry = Registry(image);
        let (wanted, problems) = resolve::resolve(self, &mut registry, build)?;
        match problems.into_iter().find(|problem| !problem.warning) {
            Some(problem) => Err(ServicingError::refused(NAME, problem)),
            None => apply::apply(&wanted, &mut registry, build),
        }
    }

    /// What stands against it in this image, and what is odd.
    pub(in crate::servicing) fn check(
        &self,
        _prepared: Option<&PreparedLocale>,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        match resolve::resolve(self, &mut Registry(image), facts.build) {
            Ok((_, problems)) => problems,
            Err(error) => vec![error.into_problem()],
        }
    }
}
