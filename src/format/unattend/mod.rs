//! Answer files for Windows Setup: reader, model, serialiser.
//!
//! ```xml
//! <unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
//!   <servicing> <package action="install"> ... </package> </servicing>                 0..1
//!   <settings pass="specialize">                                                       each pass once
//!     <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64"
//!                publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
//!       <ComputerName>*</ComputerName>                                                 a tree of settings
//!     </component>
//!   </settings>
//!   <cpi:offlineImage xmlns:cpi="urn:schemas-microsoft-com:cpi" cpi:source="..."/>     of System Image Manager; no one reads it
//! </unattend>
//! ```
//!
//! Windows asks seven passes ([`PassName`]), each at its own time, and of a pass the components whose name, architecture, token and language are its own.
//! Older documents give the root the namespace `urn:schemas-microsoft-com:asm.v3`: both are read, the first is written. `wcm:action` (`add`,
//! `modify`, `remove`) says what happens to an item of a list, `wcm:keyValue` names one that has no element for it.
//!
//! From Microsoft's public reference and some seventy real files. Nothing here judges beyond what makes it an answer
//! file at all; [`catalogue`] knows the settings that there are.

pub mod catalogue;
mod model;
pub mod password;
mod read;
mod write;

pub use model::{
    AnswerFile, Attribute, Component, Element, Namespace, Pass, PassName, Place, WINDOWS_TOKEN,
};
pub use read::{ARCHITECTURES, AnswerFileError, MAX_BYTES};

#[cfg(test)]
mod tests;
