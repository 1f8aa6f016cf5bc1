# What the scripts of a whole cluster share. Sourced by them, within `whole`.
# shellcheck shell=bash

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# The namespace that the script is about.
namespace=${namespace:-shop}
# How long anything may take on a busy machine, in seconds; what is waited for takes a fraction of it.
PATIENCE=${PATIENCE:-180}
story_began=$(date +%s%N)

# A line for the reader, with the seconds since the beginning.
say() {
    local now
    now=$(date +%s%N)
    printf '%6.1f s  %s\n' "$(((now - story_began) / 1000000))e-3" "$*"
}

chapter() {
    printf '\n== %s\n' "$*"
}

fail() {
    say "FAILED: $*"
    show_what_there_is >&2
    exit 1
}

# What someone would look at who is called because of this.
show_what_there_is() {
    kubectl --namespace "$namespace" get gritstone,deployments,pods --output wide || true
    kubectl --namespace "$namespace" describe gritstone | grep -A 100 '^Status:' || true
    kubectl --namespace "$namespace" get events --sort-by .lastTimestamp | tail -n 30 || true
    kubectl --namespace gritstone-system logs deployment/gritstone --tail 40 || true
    if [ -n "${url:-}" ]; then
        echo "--- jobs that failed, and processes"
        sql "select job_id, substr(error, 1, 400) from solid_queue_failed_executions" || true
        sql "select id, name, last_heartbeat_at from solid_queue_processes" || true
    fi
    local pod
    for pod in $(kubectl --namespace "$namespace" get pods --output name | head -n 4); do
        echo "--- $pod"
        kubectl --namespace "$namespace" logs "$pod" --all-containers --tail 20 || true
    done
}

# Waits until a command succeeds: `wait_for "what is waited for" COMMAND [ARGUMENT...]`.
wait_for() {
    local what=$1 deadline=$((SECONDS + PATIENCE))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge $deadline ]; then fail "still no $what after $PATIENCE s"; fi
        sleep 0.1
    done
}

# A namespace that takes only pods which keep to the strictest standard.
make_namespace() {
    kubectl create namespace "$1" >/dev/null
    kubectl label namespace "$1" pod-security.kubernetes.io/enforce=restricted >/dev/null
}

# Installs the operator from the chart, or another in `chart`, for the namespace that the script is about.
install_operator() {
    kubectl get namespace gritstone-system >/dev/null 2>&1 || make_namespace gritstone-system
    helm install gritstone "${chart:-$root/charts/gritstone}" --namespace gritstone-system --wait --timeout 3m \
        --set "namespaces={$namespace}" --set operator.image.repository=localhost/gritstone-operator \
        --set worker.image.repository=localhost/gritstone-worker --set operator.image.tag=test --set worker.image.tag=test \
        --set operator.image.pullPolicy=Never "$@" >/dev/null 2>"$WORK/helm.log" || {
        cat "$WORK/helm.log" >&2
        fail "helm install"
    }
}

# Makes a database of the script's own on a server, with a ledger in it, and a user who owns it. Its address is in a Secret, by a name
# that only pods of the namespace know: `make_database postgres|mariadb`. Sets `url`, the same database as seen from here.
make_database() {
    local kind=$1 host port scheme
    case $kind in
    postgres)
        psql --quiet "$POSTGRES_URL" --command "create role shop login password 'a-secret'" \
            --command "create database shop owner shop"
        scheme=postgres host=${POSTGRES%:*} port=${POSTGRES#*:}
        url=${POSTGRES_URL/postgres@/shop:a-secret@}
        url=${url%/*}/shop
        ;;
    mariadb)
        admin_sql "create database shop; create user shop@'%' identified by 'a-secret'; grant all on shop.* to shop@'%'"
        scheme=mysql host=${MARIADB%:*} port=${MARIADB#*:}
        url=${MARIADB_URL/root@/shop:a-secret@}
        url=${url%/*}/shop
        ;;
    esac
    database_kind=$kind
    sql "create table ledger (job varchar(64), claim bigint, pod varchar(200), began timestamp(6) null, ended timestamp(6) null)" >/dev/null
    sql "create index on_job on ledger (job)" >/dev/null
    kubectl --namespace "$namespace" apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {ports: [{port: $port}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: ["$host"]}]
ports: [{port: $port}]
---
apiVersion: v1
kind: Secret
metadata: {name: app-db}
stringData: {uri: "$scheme://shop:a-secret@db:$port/shop"}
YAML
}

admin_sql() {
    mariadb_on "$MARIADB_URL" "$1"
}

# Asks the script's own database; prints rows, one a line.
sql() {
    case $database_kind in
    postgres) psql --quiet --no-align --tuples-only "$url" --command "$1" ;;
    mariadb) mariadb_on "$url" "$1" ;;
    esac
}

# `mariadb_on mysql://USER[:PASSWORD]@HOST:PORT/DATABASE STATEMENTS`
mariadb_on() {
    local rest=${1#*://} user password host port database
    user=${rest%%@*} rest=${rest#*@}
    password=
    case $user in *:*) password=${user#*:} user=${user%%:*} ;; esac
    database=${rest#*/} host=${rest%%/*}
    port=${host#*:} host=${host%:*}
    MYSQL_PWD=$password mariadb --no-defaults --skip-column-names --batch --host "$host" --port "$port" --user "$user" "$database" --execute "$2"
}

apply() {
    kubectl --namespace "$namespace" apply -f - >/dev/null
}

# How many jobs of the queue haven't ended.
unfinished() {
    sql "select count(*) from solid_queue_jobs where finished_at is null"
}

is_drained() {
    [ "$(unfinished)" = 0 ]
}

replicas() {
    kubectl --namespace "$namespace" get deployment "$1" --output 'jsonpath={.spec.replicas}'
}

ready_replicas() {
    kubectl --namespace "$namespace" get deployment "$1" --output 'jsonpath={.status.readyReplicas}'
}

# Holds the ledger to what was enqueued: every job ran to its end, and none ran twice at once.
account() {
    local jobs lost failed twice runs unended
    jobs=$(sql "select count(*) from solid_queue_jobs")
    failed=$(sql "select count(*) from solid_queue_failed_executions")
    lost=$(sql "select count(*) from solid_queue_jobs j where not exists
        (select 1 from ledger l where l.job = j.active_job_id and l.ended is not null)")
    twice=$(sql "select count(*) from ledger a join ledger b on a.job = b.job and a.claim <> b.claim
        and a.began <= b.began and b.began < a.ended")
    runs=$(sql "select count(*) from ledger")
    unended=$(sql "select count(*) from ledger where ended is null")
    say "the ledger: $jobs jobs, $runs runs, of which $unended were cut short; lost $lost, failed $failed, at once twice $twice"
    if [ "$lost" != 0 ] || [ "$failed" != 0 ] || [ "$twice" != 0 ]; then fail "the ledger doesn't add up"; fi
}
