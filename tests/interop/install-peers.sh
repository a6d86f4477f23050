#!/bin/bash
# Installs every peer of the interop suite: Debian 12 (or a relative), as root.
#
#   tests/interop/install-peers.sh [DIRECTORY]        default: $SMTPWIRE_PEERS, or .peers/ of this project
#
# What Debian can install side by side is installed by apt-get; MTAs which conflict with Postfix are only
# unpacked below DIRECTORY; the node peers go to DIRECTORY/npm. The Python peers come with
#   pip install -e ".[interop]"
# Idempotent. No service is started: a policy-rc.d forbids it while apt-get runs.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
peers=${1:-${SMTPWIRE_PEERS:-$here/.peers}}

[ "$(id -u)" = 0 ] || { echo "install-peers.sh: must run as root" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "install-peers.sh: needs apt-get (Debian)" >&2; exit 1; }

installed=(
  postfix sasl2-bin libsasl2-modules libsasl2-modules-db   # Postfix, smtp-sink, smtp-source; Cyrus SASL
  dovecot-lmtpd dovecot-submissiond
  libgsasl18 gsasl                                         # GNU SASL: library and command
  curl swaks libnet-ssleay-perl libauthen-sasl-perl libio-socket-ssl-perl libdigest-hmac-perl
  msmtp s-nail mutt git git-email libmailtools-perl openssl
  m4                                                       # sendmail.cf is made by it
  libpython3.11-testsuite                                  # smtplib's own tests, for Debian's Python
  libmariadb3 libspf2-2 libidn12 libgnutls-dane0 liblockfile1 libwrap0 libpcre2-8-0 libdb5.3
)
# name of the directory below DIRECTORY = its packages; esmtp needs libesmtp6
declare -A unpacked=(
  [exim]="exim4-daemon-heavy exim4-base"
  [sendmail]="sendmail-bin sendmail-base sendmail-cf"
  [opensmtpd]="opensmtpd"
  [chasquid]="chasquid"
  [esmtp]="esmtp libesmtp6"
)
npm_packages=(nodemailer@10 smtp-server@3 Haraka@3 emailjs@5)
# the daemons' own users (useradd, as adduser refuses the capital of Debian-exim)
users=(Debian-exim opensmtpd opensmtpq smmta smmsp)

policy=
if [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  policy=ours
fi
scratch=$(mktemp -d)
chmod 777 "$scratch"   # apt-get download runs as _apt
trap '[ -z "$policy" ] || rm -f /usr/sbin/policy-rc.d; rm -rf "$scratch"' EXIT

unpack() {
  local name
  for name in "${!unpacked[@]}"; do
    mkdir -p "$peers/$name"
    (
      mkdir -m 777 "$scratch/$name"
      cd "$scratch/$name"
      # shellcheck disable=SC2086 - a list of packages
      apt-get download -qq ${unpacked[$name]}
      for package in *.deb; do dpkg-deb -x "$package" "$peers/$name"; done
    )
  done
}

node_peers() {
  mkdir -p "$peers/npm"
  cd "$peers/npm"
  [ -f package.json ] || echo '{"name":"interop-peers","version":"1.0.0","private":true}' > package.json
  npm install --no-audit --no-fund --ignore-scripts --loglevel=error "${npm_packages[@]}" >/dev/null
}

mkdir -p "$peers"
apt-get update -qq
command -v npm >/dev/null || installed+=(nodejs npm)
[ -e /usr/sbin/postfix ] || echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
unpack & unpacking=$!
node=
if command -v npm >/dev/null; then node_peers & node=$!; fi
apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io \
  -o Dpkg::Options::=--path-exclude='/usr/share/doc/*' -o Dpkg::Options::=--path-exclude='/usr/share/man/*' \
  "${installed[@]}" < /dev/null > "$scratch/apt.log" 2>&1 || { cat "$scratch/apt.log" >&2; exit 1; }
for user in "${users[@]}"; do
  getent passwd "$user" >/dev/null || useradd -r -M -U -d /nonexistent -s /usr/sbin/nologin "$user"
done
if [ -n "$node" ]; then wait "$node"; else node_peers; fi
wait "$unpacking"
echo "peers: installed; unpacked into $peers"
