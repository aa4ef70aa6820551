//! From the names in a request to a stream.

use std::sync::Arc;

use millstream_api::kinesis::Operation;
use millstream_api::{Context, Error};

use crate::hooks::{Refusal, Resource};
use crate::limits::Limits;
use crate::service::Kinesis;
use crate::stream::Stream;
use crate::texts;
use crate::throttle::{RateScope, call_rate};
use crate::token::{PageToken, TokenError};

/// Names a stream, existing or not: its world and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Twelve digits.
    pub account: Arc<str>,
    /// Region name.
    pub region: Arc<str>,
    /// Stream name.
    pub name: Arc<str>,
}

impl Address {
    /// The stream's ARN.
    pub fn arn(&self) -> String {
        let Address { account, region, name } = self;
        format!("arn:{}:kinesis:{region}:{account}:stream/{name}", partition(region))
    }

    /// Reads a stream ARN. `None` if it is not one.
    pub fn from_arn(arn: &str) -> Option<Address> {
        match ResourceAddress::from_arn(arn) {
            Some(ResourceAddress::Stream(address)) => Some(address),
            _ => None,
        }
    }
}

/// Names an enhanced fan-out consumer, existing or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerAddress {
    /// The stream that it reads.
    pub stream: Address,
    /// Consumer name.
    pub name: Arc<str>,
    /// When it was registered, seconds since the epoch: tells apart consumers that had the name one after the other.
    pub created: u64,
}

impl ConsumerAddress {
    /// The consumer's ARN.
    pub fn arn(&self) -> String {
        format!("{}/consumer/{}:{}", self.stream.arn(), self.name, self.created)
    }

    /// Reads a consumer ARN. `None` if it is not one.
    pub fn from_arn(arn: &str) -> Option<ConsumerAddress> {
        match ResourceAddress::from_arn(arn) {
            Some(ResourceAddress::Consumer(address)) => Some(address),
            _ => None,
        }
    }
}

/// What an ARN names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResourceAddress {
    /// A stream.
    Stream(Address),
    /// A consumer of a stream.
    Consumer(ConsumerAddress),
}

impl ResourceAddress {
    /// Reads the ARN of a stream or of a consumer. `None` if it is neither.
    pub fn from_arn(arn: &str) -> Option<ResourceAddress> {
        let mut parts = arn.splitn(6, ':');
        let (scheme, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        if scheme != "arn"
            || !partition.starts_with("aws")
            || service != "kinesis"
            || region.is_empty()
            || account.len() != 12
            || !account.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let rest = resource.strip_prefix("stream/")?;
        let (stream, consumer) = match rest.split_once("/consumer/") {
            Some((stream, consumer)) => (stream, Some(consumer)),
            None => (rest, None),
        };
        if !is_name(stream) {
            return None;
        }
        let stream = Address { account: account.into(), region: region.into(), name: stream.into() };
        let Some(consumer) = consumer else { return Some(ResourceAddress::Stream(stream)) };
        let (name, created) = consumer.split_once(':')?;
        if !is_name(name) || !created.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let created = created.parse().ok()?;
        Some(ResourceAddress::Consumer(ConsumerAddress { stream, name: name.into(), created }))
    }

    /// The stream itself, or the consumer's.
    pub fn stream(&self) -> &Address {
        match self {
            ResourceAddress::Stream(address) => address,
            ResourceAddress::Consumer(consumer) => &consumer.stream,
        }
    }
}

/// The partition that a region belongs to.
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

impl Kinesis {
    /// The stream that a request names, by name, by ARN or by both, after asking whether the caller may do `operation`
    /// on it.
    pub(crate) fn resolve(
        &self,
        context: &Context,
        operation: Operation,
        stream_name: Option<&str>,
        stream_arn: Option<&str>,
    ) -> Result<Arc<Stream>, Error> {
        if let (Some(name), None) = (stream_name, stream_arn)
            && let Some(stream) = self.streams().get(&context.account, &context.region, name)
        {
            // The way of nearly every call: nothing is copied.
            self.admit(context, operation, &stream.address)?;
            return Ok(Arc::clone(stream));
        }
        let address = self.address(context, operation, stream_name, stream_arn)?;
        self.find(&address)
    }

    /// The first half of [`Kinesis::resolve`]: which stream is meant, and whether the caller may. Operations that check
    /// a shard id before they look up the stream use the two halves.
    pub(crate) fn address(
        &self,
        context: &Context,
        operation: Operation,
        stream_name: Option<&str>,
        stream_arn: Option<&str>,
    ) -> Result<Address, Error> {
        let address = match (stream_arn, stream_name) {
            (Some(arn), name) => {
                let address = Address::from_arn(arn).ok_or_else(|| texts::invalid_stream_arn(arn))?;
                if name.is_some_and(|name| name != &*address.name) {
                    return Err(texts::stream_name_and_arn_differ());
                }
                check_world(context, operation, &address, arn)?;
                address
            }
            (None, Some(name)) => Address {
                account: Arc::clone(&context.account),
                region: Arc::clone(&context.region),
                name: name.into(),
            },
            (None, None) => return Err(texts::stream_name_or_arn_required()),
        };
        self.admit(context, operation, &address)?;
        Ok(address)
    }

    /// The second half of [`Kinesis::resolve`]: the stream, or ResourceNotFoundException.
    pub(crate) fn find(&self, address: &Address) -> Result<Arc<Stream>, Error> {
        match self.streams().get(&address.account, &address.region, &address.name) {
            Some(stream) => Ok(Arc::clone(stream)),
            None => Err(texts::stream_not_found(&address.name, &address.account)),
        }
    }

    /// Whether the caller may do `operation` on the stream of that name, now.
    fn admit(&self, context: &Context, operation: Operation, address: &Address) -> Result<(), Error> {
        self.allow(context, operation, Resource::Stream(address))?;
        self.admit_stream_call(operation, address)
    }

    /// Counts a call on a stream, or refuses it.
    pub(crate) fn admit_stream_call(&self, operation: Operation, address: &Address) -> Result<(), Error> {
        let Address { account, region, name } = address;
        if self.admit_call(operation, account, region, name) {
            Ok(())
        } else {
            Err(texts::stream_rate_exceeded(name, account))
        }
    }

    /// Counts a call on the account as a whole, or refuses it.
    pub(crate) fn admit_account_call(&self, context: &Context, operation: Operation) -> Result<(), Error> {
        if self.admit_call(operation, &context.account, &context.region, "") {
            Ok(())
        } else {
            Err(texts::account_rate_exceeded(&context.account))
        }
    }

    /// Counts a call, or refuses it: false if it is one too many. `stream` is the stream's name, empty for calls on the
    /// account as a whole.
    fn admit_call(&self, operation: Operation, account: &str, region: &str, stream: &str) -> bool {
        if !self.is_paced() {
            return true;
        }
        let limits = match call_rate(operation) {
            None => return true,
            Some((RateScope::Stream, _)) => self.limits_of(account, region, stream),
            Some((RateScope::Account, _)) => Arc::clone(&self.limits.all),
        };
        let now = self.env.clock.monotonic();
        let is_allowed = self.call_rates.admit(&limits, operation, account, region, stream, now);
        if !is_allowed {
            self.hooks.meter.refused(Refusal::CallRate, 1);
        }
        is_allowed
    }

    /// The limits of a stream, existing or not.
    fn limits_of(&self, account: &str, region: &str, name: &str) -> Arc<Limits> {
        match self.streams().get(account, region, name) {
            Some(stream) => Arc::clone(&stream.limits),
            None => self.limits.of(&Address { account: account.into(), region: region.into(), name: name.into() }),
        }
    }

    /// Opens a page token of `operation` that was made for the caller's account and region.
    pub(crate) fn open_page_token(
        &self,
        context: &Context,
        operation: Operation,
        text: &str,
    ) -> Result<PageToken<'static>, Error> {
        let token = PageToken::open(text, operation.name(), &self.tokens, self.now()).map_err(|e| match e {
            TokenError::Malformed => texts::invalid_next_token(),
            TokenError::Expired { issued, now } => texts::expired_next_token(issued, now),
        })?;
        if *token.account != *context.account || *token.region != *context.region {
            return Err(texts::invalid_next_token());
        }
        Ok(token)
    }

    /// Asks the authorizer.
    pub(crate) fn allow(&self, context: &Context, operation: Operation, on: Resource<'_>) -> Result<(), Error> {
        self.hooks.authorizer.allow(context, operation, on)
    }
}

/// Refuses what an ARN names in another region or account than the caller's: a region knows nothing of the others, and
/// accounts are let in by nothing yet.
pub(crate) fn check_world(context: &Context, operation: Operation, address: &Address, arn: &str) -> Result<(), Error> {
    if address.region != context.region {
        return Err(texts::arn_of_other_region(arn, &context.region));
    }
    if address.account != context.account {
        return Err(texts::cross_account(&context.account, operation.name(), arn));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_its_world() {
        let address = Address::from_arn("arn:aws:kinesis:eu-west-1:123456789012:stream/a.b-c_D").expect("an ARN");
        assert_eq!((&*address.region, &*address.account, &*address.name), ("eu-west-1", "123456789012", "a.b-c_D"));
        assert_eq!(address.arn(), "arn:aws:kinesis:eu-west-1:123456789012:stream/a.b-c_D");
        let china = Address::from_arn("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s").expect("an ARN");
        assert_eq!(china.arn(), "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s");
    }

    #[test]
    fn a_consumers_arn_names_its_stream_and_its_second() {
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c-1:1774401121";
        let consumer = ConsumerAddress::from_arn(arn).expect("an ARN");
        assert_eq!((&*consumer.stream.name, &*consumer.name, consumer.created), ("s", "c-1", 1_774_401_121));
        assert_eq!(consumer.arn(), arn);
        for wrong in ["/consumer/c", "/consumer/:1", "/consumer/c:", "/consumer/c:x", "/consumer/c:1:2", "/other/c:1"] {
            let arn = format!("arn:aws:kinesis:eu-west-1:123456789012:stream/s{wrong}");
            assert_eq!(ResourceAddress::from_arn(&arn), None, "{arn}");
        }
    }

    #[test]
    fn what_the_models_pattern_lets_through_is_checked_again() {
        for arn in [
            "arn:aws:kinesis::123456789012:stream/s",
            "arn:aws:kinesis:eu-west-1:x:123456789012:stream/s",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/s/consumer/c:1",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/",
        ] {
            assert_eq!(Address::from_arn(arn), None, "{arn}");
        }
    }
}
