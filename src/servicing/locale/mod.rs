//! Languages, formats, keyboards and the time zone: what `DISM /Set-AllIntl` and its relatives set.
//!
//! - `spec`: what a recipe says; [`dism`]: the same as DISM is told
//! - [`tables`]: LCIDs, code pages, regions, default keyboards and time zones
//! - [`keyboard`]: an input profile, and how `Keyboard Layout\Preload` writes it; [`time_zone`]: `TimeZoneInformation`; [`language`]: installed languages
//! - `resolve`: a recipe's words against one image; `apply`: what is written then
//! - [`mod@inventory`]: what an image is set to
//!
//! What is written where, and how sure that is (facts/offline-semantics.md, sections 1 and 2):
//!
//! | setting | values | known from |
//! |---|---|---|
//! | `ui` | `Nls\Language!InstallLanguage` | real hives |
//! | `ui` of a partial language | `MUI\Settings!PreferredUILanguages`, the users' `Desktop!PreferredUILanguages` | inferred |
//! | `ui-fallback` | `Nls\Language!InstallLanguageFallback` | inferred |
//! | `system` | `Nls\Language!Default`, `Nls\Locale`, `Nls\CodePage` ACP, OEMCP, MACCP | real hives |
//! | `system` | `OEMHAL` | inferred |
//! | `user` | `International` of the two user hives and of `CommonGlobUserSettings` | real hives; that `Geo` follows: inferred |
//! | `input` | `Keyboard Layout\Preload`, `Substitutes`, `User Profile` (8 and later) | real hives |
//! | `input` of an input method | `CTF\SortOrder\AssemblyItem` | inferred |
//! | `timezone` | `TimeZoneInformation` | real hives; `_dstoff`: inferred |
//! | `layered-driver` | `i8042prt\Parameters` | 1, 4 and 6: real systems; 2, 3, 5: inferred |
//!
//! The formats of a user locale (`sShortDate` ...) are overrides of what Windows knows of the locale. When the locale changes they go, so that Windows
//! takes its own; when the locale is that already, they stay. Font substitutes of a code page are left to Windows.

mod apply;
pub mod dism;
pub mod inventory;
pub mod keyboard;
pub mod language;
mod registry;
mod resolve;
mod spec;
pub mod tables;
pub mod time_zone;

pub use inventory::{LocaleState, inventory};
pub use spec::{LocaleSpec, PreparedLocale};

const NAME: &str = "locale";
