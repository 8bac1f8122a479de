#!/usr/bin/env bash
# The rules of the house that neither the compiler nor clippy can see: short files, folders named after concepts, and
# imports that run downwards only.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bad=0
complain() {
  printf '%s\n' "$*" >&2
  bad=1
}

# === a file is read in one sitting ===

limit=350
while IFS= read -r -d '' file; do
  lines=$(wc -l <"$file")
  ((lines <= limit)) || complain "$file: $lines lines, the limit is $limit: which concept in it wants a file of its own?"
done < <(find layers -type f -print0 | sort -z)

# === a folder is a concept ===

while IFS= read -r -d '' path; do
  complain "$path: named after no concept"
done < <(
  find layers examples tests benches -regextype posix-extended \
    -regex '.*/(util|common|helper)s?(\.rs)?' -print0 2>/dev/null | sort -z
)

# === a service in layers keeps its name for tonic ===

while IFS= read -r service; do
  grep -q "^    $service<.*>$" layers/tonic/named.rs ||
    complain "$service: takes requests around another service, and has no line in layers/tonic/named.rs"
done < <(
  find layers -name '*.rs' ! -path 'layers/testing/*' -exec cat {} + |
    sed -nE 's/^impl<.*S, .*> Service<Request<B>> for (\w+)<.*\bS\b.*/\1/p' | sort -u
)

# === imports run downwards ===

mapfile -d '' -t sources < <(find layers -name '*.rs' ! -path layers/lib.rs -print0 | sort -z)
perl - "${sources[@]}" <<'PERL' || bad=1
use strict;
use warnings;

# From top to bottom: a folder imports from those below it, and from its own row unless that closes a circle.
my @rows = (
    [qw(guide)],
    [qw(axum hyper metrics tonic reqwest testing tracing)],
    [qw(stack)],
    [qw(criticality deadline cancel retry hedge observe fault fallback lifecycle)],
    [qw(admission budget)],
    [qw(telemetry)],
    [qw(address body rejection outcome destination)],
    [qw(context)],
    [qw(registry)],
);
my %row;
for my $row (0 .. $#rows) { $row{$_} = $row for @{ $rows[$row] } }

my @bad;

# The file without comments and literals, its lines where they were.
sub code {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    my $text = <$in> // '';
    my $other = qr{
        //[^\n]*
      | (?<block> /\* (?: [^*/]++ | \*(?!/) | /(?!\*) | (?&block) )*+ \*/ )
      | (?<!\w) [bc]?r (?<hashes>\#*) ".*?" \g{hashes}
      | "(?: [^"\\] | \\. )*+"
      | '(?: [^'\\\n] | \\[^\n][^'\n]* )'
    }xs;
    $text =~ s/($other)/' ' . "\n" x ($1 =~ tr,\n,,)/ge;
    return $text;
}

# `a::{b, c::{d, e as f}}` as `a::b`, `a::c::d`, `a::c::e as f`.
sub leaves {
    my ($tree) = @_;
    $tree =~ s/^\s+|\s+$//g;
    return $tree unless $tree =~ /^([^{]*)\{(.*)\}$/s;
    my ($stem, $inside) = ($1, $2);
    my @branches;
    push @branches, $1 while $inside =~ /((?:[^{},]|(\{(?:[^{}]|(?2))*+\}))+)/g;
    return map { "$stem$_" } map { leaves($_) } grep { /\S/ } @branches;
}

# What `lib.rs` re-exports comes from a folder all the same.
my %home;
my $root = code('layers/lib.rs');
while ($root =~ /\buse\s+([^;]+);/g) {
    for my $leaf (leaves($1)) {
        $leaf =~ s/\s*::\s*/::/g;
        $leaf =~ s/^(?:crate|self):://;
        my ($folder) = $leaf =~ /^(\w+)::/ or next;
        my ($name) = $leaf =~ /(\w+)$/ or next;
        $home{$name} = $folder if exists $row{$folder};
    }
}

my %import; # from -> to -> the first place
for my $file (@ARGV) {
    my @path = split m{/}, $file =~ s{^layers/|\.rs$}{}gr;
    pop @path if $path[-1] eq 'mod';
    my ($from, $depth) = ($path[0], scalar @path);
    if (!exists $row{$from}) {
        push @bad, "$file: `$from` has no place in the order of imports: give it one in .ci/house.sh";
        next;
    }
    my $code = code($file);
    while ($code =~ /(?<!\w)(crate|(?:super\s*::\s*)*super)\s*::\s*(\w+\b(?!\s*!)|\*|(\{(?:[^{}]|(?3))*+\}))/g) {
        my ($start, $tree) = ($1, $2);
        my $place = "$file:" . (1 + (substr($code, 0, $-[0]) =~ tr/\n//));
        my $ups = () = $start =~ /super/g;
        for my $leaf (leaves($tree)) {
            my ($name) = $leaf =~ /^(\w+|\*)/ or next;
            next if $name eq 'self';
            my $to = exists $row{$name} ? $name : $home{$name};
            if ($ups) {
                # Only a chain that climbs out of the folder leaves it.
                next unless $ups >= $depth and exists $row{$name};
            } elsif (!defined $to) {
                push @bad, "$place: `crate::$name` is of no folder: name the one that it comes from";
                next;
            }
            next if $to eq $from;
            if ($row{$to} < $row{$from}) {
                push @bad, "$place: `$from` imports `$to`, which stands above it";
            } else {
                $import{$from}{$to} //= $place;
            }
        }
    }
}

sub leads {
    my ($from, $to, $seen) = @_;
    return 1 if $from eq $to;
    return 0 if $seen->{$from}++;
    for my $next (sort keys %{ $import{$from} // {} }) {
        return 1 if leads($next, $to, $seen);
    }
    return 0;
}

for my $from (sort keys %import) {
    for my $to (sort keys %{ $import{$from} }) {
        push @bad, "$import{$from}{$to}: `$from` imports `$to`, which leads back to `$from`" if leads($to, $from, {});
    }
}

print STDERR "$_\n" for @bad;
exit(@bad ? 1 : 0);
PERL

exit "$bad"
