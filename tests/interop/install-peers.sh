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
  libgnutls-openssl27                                      # ssmtp
  libmariadb3 libspf2-2 libidn12 libgnutls-dane0 liblockfile1 libwrap0 libpcre2-8-0 libdb5.3
)
# name of the directory below DIRECTORY = its packages; esmtp needs libesmtp6
declare -A unpacked=(
  [exim]="exim4-daemon-heavy exim4-base"
  [sendmail]="sendmail-bin sendmail-base sendmail-cf"
  [opensmtpd]="opensmtpd"
  [chasquid]="chasquid"
  [esmtp]="esmtp libesmtp6"
  [dma]="dma"
  [mailfront]="mailfront libbg2 libcvm1 liblua5.1-0"
  [qpsmtpd]="qpsmtpd libclamav-client-perl libsocket6-perl libio-socket-inet6-perl libstring-crc32-perl
    libipc-shareable-perl libnet-dns-perl libnetaddr-ip-perl libregexp-ipv6-perl liburi-perl libmail-spf-perl"
  [nullmailer]="nullmailer"
  [ssmtp]="ssmtp"
  [sendemail]="sendemail libio-socket-inet6-perl libsocket6-perl"
)
# from Debian 13, with the libraries which they need: Exim 4.98 has LIMITS
declare -A newer=(
  [exim-4.98]="exim4-daemon-light libc6 libcom-err2 libcrypt1 libdb5.3t64 libevent-2.1-7t64 libffi8 libgmp10
    libgnutls-dane0t64 libgnutls30t64 libgssapi-krb5-2 libhogweed6t64 libidn12 libidn2-0 libk5crypto3 libkeyutils1
    libkrb5-3 libkrb5support0 libnettle8t64 libnsl2 libp11-kit0 libpcre2-8-0 libssl3t64 libtasn1-6 libtirpc3t64
    libunbound8 libunistring5 libzstd1 zlib1g"
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

unpack() { # NAME "PACKAGES" [OPTION of apt-get ...]
  mkdir -p "$peers/$1"
  mkdir -m 777 "$scratch/$1"
  (
    cd "$scratch/$1"
    # shellcheck disable=SC2086 - a list of packages
    apt-get "${@:3}" download -qq $2
    for package in *.deb; do dpkg-deb -x "$package" "$peers/$1"; done
  )
}

unpack_all() {
  local name
  for name in "${!unpacked[@]}"; do unpack "$name" "${unpacked[$name]}"; done
  unpack_newer
}

unpack_newer() { # by lists of their own, so that nothing of Debian 13 is installed by chance
  local mirror name here=$scratch/newer
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' | sed -n 1p)
  mkdir -p "$here"/{lists,cache/archives}/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$here/sources.list"
  local options=(-o "Dir::Etc::SourceList=$here/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$here/lists" -o "Dir::Cache=$here/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update -qq
  for name in "${!newer[@]}"; do unpack "$name" "${newer[$name]}" "${options[@]}"; done
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
unpack_all & unpacking=$!
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
