//! `userlist` sections (manual, section 12.2).

use std::sync::Arc;

use crate::config::loading::Loading;
use crate::config::syntax::Section;
use crate::config::words::Words;
use crate::diag::did_you_mean;
use crate::sample::password::{Scheme, Unusable};
use crate::sample::userlist::{Password, User, UserList};

const HASH_HELP: &str = "'mkpasswd -m sha-512' or 'openssl passwd -6' makes a hash; a password in clear needs 'insecure-password'";

/// Reads one section.
pub fn read(section: &Section, loading: &mut Loading<'_>) {
    let Some(name) = super::sections::name(section, loading) else { return };
    if loading.named.userlists.contains_key(&name) {
        // HAProxy ignores the second one and says so.
        loading.report.warning(section.head.span, format!("ignoring duplicated userlist '{name}'"));
        return;
    }
    let mut list = UserList::default();
    // Groups may name users that come later, so memberships are added at the end.
    let mut members = Vec::new();
    for line in &section.lines {
        let mut words = Words::new(line, 1);
        match line.words[0].text.as_str() {
            "group" => {
                let Some(group) = words.expect(loading.report, "<name> as arguments") else { continue };
                if list.groups.iter().any(|known| **known == *group.text) {
                    let message = format!("ignoring duplicated group '{}' in userlist '{name}'", group.text);
                    loading.report.warning(group.span, message);
                    continue;
                }
                list.groups.push(group.text.as_str().into());
                while let Some(word) = words.take_word() {
                    if word.text != "users" {
                        loading.report.alert(word.span, "'group' only supports 'users' option");
                        break;
                    }
                    let Some(users) = words.expect(loading.report, "a list of users") else { break };
                    for user in users.text.split(',').filter(|user| !user.is_empty()) {
                        members.push((user.to_owned(), group.text.clone(), users.span));
                    }
                }
            }
            "user" => user(&mut list, &mut members, &mut words, &name, loading),
            other => super::sections::unknown(line, other, "userlist", &["group", "user"], loading),
        }
    }
    for (user, group, span) in members {
        if !list.groups.iter().any(|known| **known == *group) {
            let message = format!("userlist '{name}': no such group '{group}' specified in user '{user}'");
            let help = did_you_mean(&group, list.groups.iter().map(|group| &**group));
            let found = loading.report.alert(span, message);
            help.into_iter().for_each(|help| {
                found.help(help);
            });
            continue;
        }
        match list.users.get_mut(user.as_str()) {
            Some(user) if !user.groups.iter().any(|known| **known == *group) => {
                user.groups.push(group.into())
            }
            Some(_) => {}
            None => {
                let message =
                    format!("userlist '{name}': no such user '{user}' specified in group '{group}'");
                let help = did_you_mean(&user, list.users.keys().map(|user| &**user));
                let found = loading.report.alert(span, message);
                help.into_iter().for_each(|help| {
                    found.help(help);
                });
            }
        }
    }
    loading.named.userlists.insert(name, Arc::new(list));
}

fn user(
    list: &mut UserList,
    members: &mut Vec<(String, String, crate::diag::Span)>,
    words: &mut Words<'_>,
    list_name: &str,
    loading: &mut Loading<'_>,
) {
    let Some(user) = words.expect(loading.report, "<name> as arguments") else { return };
    if list.users.contains_key(user.text.as_str()) {
        let message = format!("ignoring duplicated user '{}' in userlist '{list_name}'", user.text);
        loading.report.warning(user.span, message);
        return;
    }
    let mut password = Password::None;
    while let Some(word) = words.take_word() {
        let Some(value) = words.take_word() else {
            loading.report.alert(word.span, format!("'user' : '{}' expects a value", word.text));
            return;
        };
        match word.text.as_str() {
            "password" => match Scheme::of(&value.text) {
                Ok(scheme) => password = Password::Crypt(scheme, value.text.as_str().into()),
                // As in HAProxy: what crypt(3) would take is taken, even if nothing can match it.
                Err(Unusable::Malformed(problem)) => {
                    let message = format!(
                        "'user' : nobody can be '{}' in userlist '{list_name}': no password fits the hash, {problem}",
                        user.text
                    );
                    loading.report.warning(value.span, message).help(HASH_HELP);
                }
                Err(Unusable::UnknownScheme) => {
                    let message = format!(
                        "the encrypted password used for user '{}' is not of a known scheme: DES, $1$, $2a$, $2b$, \
                         $2y$, $5$, $6$, $y$",
                        user.text
                    );
                    loading.report.alert(value.span, message).help(HASH_HELP);
                    return;
                }
            },
            "insecure-password" => password = Password::Plain(value.text.as_str().into()),
            "groups" => {
                for group in value.text.split(',').filter(|group| !group.is_empty()) {
                    members.push((user.text.clone(), group.to_owned(), value.span));
                }
            }
            other => {
                let message = format!(
                    "'user' only supports 'password', 'insecure-password' and 'groups' options (got '{other}')"
                );
                loading.report.alert(word.span, message);
                return;
            }
        }
    }
    list.users.insert(user.text.as_str().into(), User { password, groups: Vec::new() });
}
