//! DescribeAccountSettings and UpdateAccountSettings: the minimum throughput billing commitment of an account in a region.
//! Nobody is billed here; the commitment unlocks what it unlocks on AWS, and keeps its times.

use std::cmp::Ordering;
use std::sync::Arc;

use millstream_api::kinesis::{
    DescribeAccountSettingsInput, DescribeAccountSettingsOutput, MinimumThroughputBillingCommitmentInputStatus,
    MinimumThroughputBillingCommitmentOutput, MinimumThroughputBillingCommitmentOutputStatus, Operation,
    UpdateAccountSettingsInput, UpdateAccountSettingsOutput,
};
use millstream_api::{Context, Error};
use millstream_catalog::{Key, Record};
use serde::{Deserialize, Serialize};

use crate::change::ChangeError;
use crate::describe::timestamp;
use crate::hooks::Resource;
use crate::reset::Worlds;
use crate::service::Kinesis;

/// How long a commitment lasts at least, ms.
const SHORTEST: u64 = 24 * 60 * 60 * 1000;

/// A billing commitment, running or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commitment {
    /// When it was enabled, ms since the epoch.
    started_ms: u64,
    /// When it ends or has ended, ms since the epoch; nothing while no end is in sight.
    end_ms: Option<u64>,
}

impl Commitment {
    fn is_enabled(&self, now: u64) -> bool {
        self.end_ms.is_none_or(|end| now < end)
    }

    fn earliest_end(&self) -> u64 {
        self.started_ms.saturating_add(SHORTEST)
    }
}

/// The settings of an account in a region, as the catalog keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountSettings {
    account: String,
    region: String,
    commitment: Commitment,
}

impl Record for AccountSettings {
    const TABLE: &'static str = "kinesis.account_settings";
    const VERSION: u8 = 1;

    fn key(&self) -> Key {
        Key::all().text(&self.account).text(&self.region)
    }
}

/// The settings of every account, for lookups without locks. Immutable; swapped whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts {
    /// By account and region.
    sorted: Vec<AccountSettings>,
}

impl Accounts {
    pub(crate) fn new(mut settings: Vec<AccountSettings>) -> Accounts {
        settings.sort_by(|a, b| order(a, &b.account, &b.region));
        Accounts { sorted: settings }
    }

    /// The latest commitment of an account that ever made one.
    fn commitment(&self, account: &str, region: &str) -> Option<Commitment> {
        let at = self.sorted.binary_search_by(|s| order(s, account, region)).ok()?;
        Some(self.sorted[at].commitment)
    }

    fn with(mut self, settings: AccountSettings) -> Accounts {
        match self.sorted.binary_search_by(|s| order(s, &settings.account, &settings.region)) {
            Ok(at) => self.sorted[at] = settings,
            Err(at) => self.sorted.insert(at, settings),
        }
        self
    }
}

fn order(settings: &AccountSettings, account: &str, region: &str) -> Ordering {
    (&*settings.account, &*settings.region).cmp(&(account, region))
}

impl Kinesis {
    pub(crate) fn describe_account_settings(
        &self,
        context: &Context,
        _: DescribeAccountSettingsInput,
    ) -> Result<DescribeAccountSettingsOutput, Error> {
        self.allow(context, Operation::DescribeAccountSettings, Resource::Account)?;
        self.admit_account_call(context, Operation::DescribeAccountSettings)?;
        let commitment = self.accounts.load().commitment(&context.account, &context.region);
        Ok(DescribeAccountSettingsOutput { minimum_throughput_billing_commitment: Some(shape(commitment, self.now())) })
    }

    pub(crate) async fn update_account_settings(
        &self,
        context: &Context,
        input: UpdateAccountSettingsInput,
    ) -> Result<UpdateAccountSettingsOutput, Error> {
        self.allow(context, Operation::UpdateAccountSettings, Resource::Account)?;
        self.admit_account_call(context, Operation::UpdateAccountSettings)?;
        let is_wanted = input.minimum_throughput_billing_commitment.status
            == MinimumThroughputBillingCommitmentInputStatus::Enabled;
        let (account, region) = (context.account.to_string(), context.region.to_string());
        let (accounts, now) = (Arc::clone(&self.accounts), self.now());
        let updated = self.exclusively(move |_, catalog| {
            let present = accounts.load().commitment(&account, &region);
            let commitment = if is_wanted { enable(present, now) } else { disable(present, now) };
            if let Some(commitment) = commitment.filter(|_| commitment != present) {
                let settings = AccountSettings { account, region, commitment };
                catalog.transact_blocking(|tx| tx.put(&settings))?;
                accounts.store(Arc::new(Accounts::clone(&accounts.load()).with(settings)));
            }
            Ok(commitment)
        });
        let commitment = updated.await?;
        Ok(UpdateAccountSettingsOutput { minimum_throughput_billing_commitment: Some(shape(commitment, now)) })
    }

    /// Puts the settings of the worlds' accounts back to what they are without any call.
    pub(crate) async fn forget_settings(&self, worlds: &Worlds) -> Result<(), ChangeError> {
        let (accounts, worlds) = (Arc::clone(&self.accounts), worlds.clone());
        self.exclusively(move |_, catalog| {
            let (gone, kept): (Vec<AccountSettings>, Vec<AccountSettings>) =
                accounts.load().sorted.iter().cloned().partition(|s| worlds.contain(&s.account, &s.region));
            if !gone.is_empty() {
                catalog.transact_blocking(|tx| gone.iter().try_for_each(|s| tx.delete::<AccountSettings>(&s.key())))?;
                accounts.store(Arc::new(Accounts { sorted: kept }));
            }
            Ok(())
        })
        .await
    }

    /// Whether the account has a billing commitment in the region now. Reads no catalog.
    pub(crate) fn commitment_enabled(&self, account: &str, region: &str) -> bool {
        let now = self.now();
        self.accounts.load().commitment(account, region).is_some_and(|commitment| commitment.is_enabled(now))
    }
}

/// Enabling begins a commitment, or calls off the end of one that is still running.
fn enable(present: Option<Commitment>, now: u64) -> Option<Commitment> {
    Some(match present.filter(|commitment| commitment.is_enabled(now)) {
        Some(running) => Commitment { end_ms: None, ..running },
        None => Commitment { started_ms: now, end_ms: None },
    })
}

/// Disabling ends a commitment once it is old enough; one that ends already, or has ended, stays as it is.
fn disable(present: Option<Commitment>, now: u64) -> Option<Commitment> {
    let present = present?;
    Some(match present.end_ms {
        None => Commitment { end_ms: Some(present.earliest_end().max(now)), ..present },
        Some(_) => present,
    })
}

fn shape(commitment: Option<Commitment>, now: u64) -> MinimumThroughputBillingCommitmentOutput {
    use MinimumThroughputBillingCommitmentOutputStatus as Status;
    let status = match commitment {
        Some(commitment) if !commitment.is_enabled(now) => Status::Disabled,
        Some(Commitment { end_ms: Some(_), .. }) => Status::EnabledUntilEarliestAllowedEnd,
        Some(_) => Status::Enabled,
        None => Status::Disabled,
    };
    let ended = commitment.filter(|commitment| !commitment.is_enabled(now)).and_then(|commitment| commitment.end_ms);
    MinimumThroughputBillingCommitmentOutput {
        status,
        started_at: commitment.map(|commitment| timestamp(commitment.started_ms)),
        ended_at: ended.map(timestamp),
        earliest_allowed_end_at: commitment.map(|commitment| timestamp(commitment.earliest_end())),
    }
}
