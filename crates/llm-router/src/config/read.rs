//! Reads a configuration, and the files it includes, section by section.

mod callbacks;
mod classifier;
mod general_settings;
mod litellm_settings;
mod model_list;
mod policy;
#[cfg(feature = "redis")]
mod redis;
#[cfg(not(feature = "redis"))]
#[path = "read/redis_absent.rs"]
mod redis;
mod router_settings;

use secrecy::SecretString;

pub(super) use self::policy::names as policy_names;
use super::keys::{self, ROOT};
use super::yaml::{Document, Environment, Node, Reader, Section};
use super::{Callbacks, ConfigFile, ConfigFileError, GeneralSettings, Problem};
use crate::builder::RouterBuilder;

/// Reads a file that another one names; the error says why not.
pub(super) type Load<'a> = &'a dyn Fn(&str) -> Result<Source, String>;

/// A text, and the name of its file.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

pub(super) fn read(
    main: Source,
    load: Load<'_>,
    environment: Environment<'_>,
) -> Result<ConfigFile, ConfigFileError> {
    let sources = with_includes(main, load)?;
    let documents: Vec<Document<'_>> = sources.iter().map(document).collect::<Result<_, _>>()?;
    let reader = Reader::new(environment);
    let mut builder = RouterBuilder::default();
    let mut general = GeneralSettings::default();
    let mut cache = None;
    let mut callbacks = Callbacks::default();
    if let Some(root) = Section::of(documents.iter().map(|document| document.root(&reader)).collect(), &ROOT)
    {
        for (name, value) in root.all("environment_variables").iter().flat_map(Node::entries) {
            if let Some(value) = value.string() {
                reader.add_variable(name, value);
            }
        }
        builder = model_list::read(builder, &root);
        // What router_settings says wins, so it speaks last.
        if let Some(section) = Section::of(root.all("litellm_settings"), &keys::LITELLM_SETTINGS) {
            callbacks::read_names(&section, &mut callbacks);
            let router_has = Section::of(root.all("router_settings"), &keys::ROUTER_SETTINGS);
            (builder, cache) = litellm_settings::read(builder, section, router_has.as_ref());
        }
        if let Some(section) = Section::of(root.all("router_settings"), &keys::ROUTER_SETTINGS) {
            builder = router_settings::read(builder, section);
        }
        if let Some(section) = Section::of(root.all("general_settings"), &keys::GENERAL_SETTINGS) {
            general = general_settings::read(section);
        }
        for node in root.all("callback_settings") {
            callbacks::read_settings(&node, &mut callbacks);
        }
        root.finish();
    }
    let variables = reader.own_variables();
    let variables = variables.into_iter().map(|(name, value)| (name, SecretString::from(value)));
    builder = builder.variables(variables.collect());
    let (problems, ignored) = reader.finish();
    if !problems.is_empty() {
        return Err(ConfigFileError::Wrong(problems));
    }
    let files = sources.iter().map(|source| source.file.clone()).collect();
    Ok(ConfigFile { builder, general, cache, callbacks, ignored, files })
}

fn document(source: &Source) -> Result<Document<'_>, ConfigFileError> {
    Document::parse(&source.text, &source.file).map_err(ConfigFileError::Unreadable)
}

/// The main file and those it includes, one level deep, as in LiteLLM.
fn with_includes(main: Source, load: Load<'_>) -> Result<Vec<Source>, ConfigFileError> {
    let mut included = Vec::new();
    let mut problems = Vec::new();
    {
        let document = document(&main)?;
        // Nothing but the list itself is read here, and it names no variables.
        let reader = Reader::new(&|_| None);
        let root = document.root(&reader).section(&ROOT);
        for node in root.iter().flat_map(|root| root.all("include")).flat_map(|list| list.list()) {
            let Some(name) = node.string() else { continue };
            match load(&name) {
                Ok(source) => included.push(source),
                Err(why) => {
                    let location = Some(node.location());
                    let message = format!("`{name}` cannot be read: {why}");
                    problems.push(Problem { location, path: node.path().to_owned(), message });
                }
            }
        }
        drop(root);
        problems.extend(reader.finish().0);
    }
    if !problems.is_empty() {
        return Err(ConfigFileError::Wrong(problems));
    }
    Ok(std::iter::once(main).chain(included).collect())
}
