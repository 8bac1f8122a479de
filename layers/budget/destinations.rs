use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::time::Instant;

use super::{
    Budget, BudgetSnapshot, Counted, Ended, Law, Why,
    account::{Account, Kind},
};
use crate::{
    context::{Head, home::Home},
    destination::{Destinations, KeyOf, MOST, Seat, Tenant},
};

/// One [`Budget`] for all, or one for each destination. Clones are of the same budgets.
///
/// ```
/// use buttress::budget::{Budget, Budgets};
///
/// let one = Budgets::from(Budget::default());
/// let each = Budgets::per_destination(Budget::default).keys(100);
/// # assert_eq!((one.snapshot().len(), each.snapshot().len()), (1, 0));
/// ```
///
/// One budget for all bounds what this client does to the world; but an upstream that is down can spend what the others would
/// need. One for each keeps them apart, and each has a floor and a burst of its own.
#[derive(Clone)]
pub struct Budgets(Whose);

#[derive(Clone)]
enum Whose {
    All(Budget),
    Each {
        make: Arc<Make>,
        key_of: KeyOf,
        keys: usize,
        found: Destinations<Ledger>,
    },
}

type Make = dyn Fn() -> Budget + Send + Sync;

/// The budget of one destination.
struct Ledger {
    account: Account,
    /// Only where it is a law of the user's. When the destination gives way to another this is replaced, as nobody but the user
    /// knows what is in it; what goes on for the old destination keeps the old one.
    own: Option<RwLock<Arc<dyn Law>>>,
    make: Arc<Make>,
}

/// What pays for the attempts of one request.
#[derive(Clone, Debug)]
pub(crate) struct Paying(Payer);

#[derive(Clone, Debug)]
enum Payer {
    All(Arc<Home<Account>>),
    Each {
        seat: Seat<Ledger>,
        own: Option<Arc<dyn Law>>,
    },
}

impl Budgets {
    /// A budget for each destination, as `make` makes it: its law and its terms, never its state. The destination is the authority
    /// of the request's URI, else its `host`.
    ///
    /// There are so many as [`keys`](Self::keys) says. Where there are more destinations, one gives way that has spent nothing, or
    /// was unused for longest among a few; what it was still to decide is not granted.
    pub fn per_destination(make: impl Fn() -> Budget + Send + Sync + 'static) -> Self {
        Self::each(Arc::new(make), KeyOf::default(), MOST)
    }

    /// How many destinations have a budget of their own at a time: 1,000 unless set, and 1 at least.
    #[must_use]
    pub fn keys(self, keys: usize) -> Self {
        match self.0 {
            Whose::Each { make, key_of, .. } => Self::each(make, key_of, keys),
            all @ Whose::All(_) => Self(all),
        }
    }

    /// What a destination is: whatever the head of a request shows. All for which it is `None` share one budget.
    ///
    /// ```
    /// # use buttress::budget::{Budget, Budgets};
    /// let shards = Budgets::per_destination(Budget::default).by(|head| head.headers.get("x-shard")?.to_str().ok());
    /// ```
    #[must_use]
    pub fn by(self, name: impl for<'a> Fn(Head<'a>) -> Option<&'a str> + Send + Sync + 'static) -> Self {
        match self.0 {
            Whose::Each { make, keys, .. } => Self::each(make, KeyOf::by(name), keys),
            all @ Whose::All(_) => Self(all),
        }
    }

    fn each(make: Arc<Make>, key_of: KeyOf, keys: usize) -> Self {
        let found = {
            let make = make.clone();
            Destinations::keyed(key_of.clone(), keys, move || Ledger::new(make.clone()))
        };
        Self(Whose::Each {
            make,
            key_of,
            keys,
            found,
        })
    }

    /// Each budget, with its destination's name: `None` for the one of all, or of all that have no name.
    pub fn snapshot(&self) -> Vec<(Option<String>, BudgetSnapshot)> {
        match &self.0 {
            Whose::All(budget) => vec![(None, budget.snapshot())],
            Whose::Each { found, .. } => {
                let (mut all, now) = (Vec::new(), Instant::now());
                found.for_each(|name, ledger| all.push((name.map(str::to_owned), ledger.snapshot(now))));
                all
            }
        }
    }

    /// How many destinations gave way to another.
    pub fn evicted(&self) -> u64 {
        match &self.0 {
            Whose::All(_) => 0,
            Whose::Each { found, .. } => found.evicted(),
        }
    }

    /// What pays for the attempts of the request with this head.
    #[inline]
    pub(crate) fn of(&self, head: Option<Head<'_>>, now: impl FnOnce() -> Instant) -> Paying {
        Paying(match &self.0 {
            Whose::All(budget) => Payer::All(budget.homes().here().clone()),
            Whose::Each { found, .. } => {
                let seat = found.find(head, now());
                Payer::Each { own: seat.own(), seat }
            }
        })
    }
}

impl From<Budget> for Budgets {
    fn from(budget: Budget) -> Self {
        Self(Whose::All(budget))
    }
}

/// The [default budget](Budget::default), one for all.
impl Default for Budgets {
    fn default() -> Self {
        Budget::default().into()
    }
}

impl Paying {
    /// The first attempt of the request starts. Where a layer around this one has told the same budget, that is enough, and this says
    /// false: its end is that layer's to tell.
    #[inline]
    pub(crate) fn first(&self, now: impl FnOnce() -> Instant) -> bool {
        let Some(account) = self.current() else { return true };
        let is_new = !Counted::is_by(address(account));
        if is_new {
            match &self.0 {
                Payer::Each { own: Some(law), .. } => law.first(now()),
                _ => account.kind.first(now),
            }
        }
        is_new
    }

    /// Whether one more attempt is paid for.
    pub(crate) fn again(&self, why: Why, now: Instant) -> bool {
        self.current()
            .is_some_and(|account| account.counts.again(self.law(account), why, now))
    }

    /// Whether one more might be paid for now. Nothing is taken; a no is counted, so this is to be asked last.
    pub(crate) fn may(&self, why: Why, now: Instant) -> bool {
        self.current()
            .is_some_and(|account| account.counts.may(self.law(account), why, now))
    }

    /// An attempt that was paid for was never sent.
    pub(crate) fn unsent(&self, why: Why, now: Instant) {
        if let Some(account) = self.current() {
            account.counts.unsent(self.law(account), why, now);
        }
    }

    /// An attempt ended.
    pub(crate) fn ended(&self, ended: Ended, now: Instant) {
        if let Some(account) = self.current() {
            self.law(account).ended(ended, now);
        }
    }

    /// Whether it wants to be told how attempts end.
    #[inline]
    pub(crate) fn follows_ends(&self) -> bool {
        let follows = |account: &Account| match account.kind {
            Kind::Ratio(_) => false,
            Kind::Grpc(_) | Kind::Own(_) => self.law(account).follows_ends(),
        };
        self.current().is_some_and(follows)
    }

    /// Around a call, for the layers within: this budget has counted it.
    #[inline]
    pub(crate) fn counted(&self) -> Counted {
        Counted::enter(self.current().map_or(0, address))
    }

    /// Where it is counted, unless the destination has given way to another since.
    #[inline]
    fn current(&self) -> Option<&Account> {
        match &self.0 {
            Payer::All(home) => Some(home),
            Payer::Each { seat, .. } => seat.is_current().then_some(&seat.account),
        }
    }

    fn law<'a>(&'a self, account: &'a Account) -> &'a dyn Law {
        match &self.0 {
            Payer::Each { own: Some(law), .. } => &**law,
            _ => account.kind.law(),
        }
    }
}

/// Which of all accounts it is.
#[inline]
fn address(account: &Account) -> usize {
    std::ptr::from_ref(account).addr()
}

impl Ledger {
    fn new(make: Arc<Make>) -> Self {
        let kind = make().kind_anew();
        let own = match &kind {
            Kind::Own(law) => Some(RwLock::new(law.clone())),
            Kind::Ratio(_) | Kind::Grpc(_) => None,
        };
        Self {
            account: Account::new(kind),
            own,
            make,
        }
    }

    #[inline]
    fn own(&self) -> Option<Arc<dyn Law>> {
        let own = self.own.as_ref()?;
        Some(own.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn snapshot(&self, now: Instant) -> BudgetSnapshot {
        match self.own() {
            Some(law) => self.account.counts.snapshot(law.tokens(now)),
            None => self.account.snapshot(now),
        }
    }
}

impl Tenant for Ledger {
    fn reset(&self, now: Instant) {
        self.account.counts.reset();
        match &self.account.kind {
            Kind::Ratio(law) => law.reset(now),
            Kind::Grpc(law) => law.reset(),
            Kind::Own(_) => {
                let law = (self.make)().law_anew();
                if let Some(own) = &self.own {
                    *own.write().unwrap_or_else(PoisonError::into_inner) = law;
                }
            }
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        match &self.account.kind {
            Kind::Ratio(law) => law.is_idle(now),
            Kind::Grpc(law) => law.is_idle(),
            Kind::Own(_) => false,
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("account", &self.account)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Whose::All(budget) => f.debug_tuple("Budgets").field(budget).finish(),
            Whose::Each { found, .. } => f.debug_tuple("Budgets").field(found).finish(),
        }
    }
}
