//! The names a configuration gives to things.

use std::fmt;
use std::sync::Arc;

/// A name was blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name must not be blank")]
pub struct BlankName;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = BlankName;

            fn try_from(name: &str) -> Result<Self, BlankName> {
                if name.trim().is_empty() { Err(BlankName) } else { Ok(Self(name.into())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BlankName;

            fn try_from(name: String) -> Result<Self, BlankName> {
                Self::try_from(name.as_str())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name! {
    /// The name an application calls, such as `fast`. Never blank; cheap to clone.
    Alias
}

name! {
    /// The stable name of one deployment. Never blank; cheap to clone; never carries a credential.
    DeploymentId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_names_are_refused() {
        assert_eq!(Alias::try_from("  "), Err(BlankName));
        assert_eq!(DeploymentId::try_from(""), Err(BlankName));
        assert_eq!(Alias::try_from("fast").unwrap().as_str(), "fast");
    }
}
