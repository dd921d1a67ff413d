#!/usr/bin/env bash
# Does the same as infra/graph/main.bicep, without the Graph extension: grants the app's identity its
# roles. With --api, creates the API's application registration; with --caller, assigns one of its
# roles to a service principal, user or group. Needs the Azure CLI, Privileged Role Administrator, and
# for --api also Application Administrator. It is safe to run again, and completes an interrupted run.
#   infra/graph/grant.sh IDENTITY_PRINCIPAL_ID [--indicators] [--no-hunting] [--api] [--caller OBJECT_ID=ROLE]...
#   infra/graph/grant.sh --caller OBJECT_ID=ROLE    # grants no roles to the app's identity
set -euo pipefail

identity=
case ${1-} in
    --caller) ;;
    "" | --*) echo "the principal id of the app's identity is missing: pass output IDENTITY_PRINCIPAL_ID of infra/main.bicep" >&2; exit 2 ;;
    *) identity=$1; shift ;;
esac
indicators=false
hunting=true
api=false
callers=()
while [ $# -gt 0 ]; do
    case $1 in
        --indicators) indicators=true ;;
        --no-hunting) hunting=false ;;
        --api) api=true ;;
        --caller)
            case ${2-} in
                ?*=?*) callers+=("$2"); shift ;;
                *) echo "--caller takes OBJECT_ID=ROLE, such as 00000000-0000-0000-0000-000000000000=Hashes.Read" >&2; exit 2 ;;
            esac ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift
done

graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
graph=${graph%/}/v1.0

grant() { # application id, role
    local resource role held
    resource=$(az rest --url "$graph/servicePrincipals?\$filter=appId eq '$1'" --query 'value[0].id' --output tsv)
    role=$(az rest --url "$graph/servicePrincipals/$resource" --query "appRoles[?value=='$2' && contains(allowedMemberTypes, 'Application')].id | [0]" --output tsv)
    if [ -z "$resource" ] || [ -z "$role" ]; then
        echo "$2 was not found. Check that this tenant has the service." >&2
        return 1
    fi
    held=$(az rest --url "$graph/servicePrincipals/$identity/appRoleAssignments" --query "value[?appRoleId=='$role'] | length(@)" --output tsv)
    if [ "$held" -gt 0 ]; then
        echo "$2 is already granted"
        return
    fi
    az rest --method post --url "$graph/servicePrincipals/$identity/appRoleAssignments" --output none \
        --headers 'Content-Type=application/json' \
        --body "{\"principalId\":\"$identity\",\"resourceId\":\"$resource\",\"appRoleId\":\"$role\"}"
    echo "$2 is granted"
}

defender=fc780465-2017-40d4-a0c5-307022471b92
microsoft_graph=00000003-0000-0000-c000-000000000000
if [ -n "$identity" ]; then
    grant "$defender" File.Read.All
    grant "$defender" Alert.Read.All
    grant "$defender" Machine.Read.All
    if $indicators; then grant "$defender" Ti.ReadWrite.All; fi
    if $hunting; then grant "$microsoft_graph" ThreatHunting.Read.All; fi
fi

name=defender-functions
# The ids match infra/graph/main.bicep, so that both can be run in any order.
roles=(
    Hashes.Read=af779359-e7fe-41d3-a3a8-59c3ef4c03f0
    Devices.Read=efb32172-4df1-44f9-8683-576e69e92872
    Indicators.Write=2cc2f036-29fd-4784-a61f-a5d7bf2be387
    Reports.Read=12de6d69-a39e-43d2-8245-815e67eb5973
    Reports.Run=bcdfdc47-defb-4776-abe2-bf05c3280ba8
)
scope=12a6028e-532c-4945-a1e7-e8f94a8f2968
azure_cli=04b07795-8ddb-461a-bbee-02f9e1bf7b46

send() { # method, URL, body, headers
    az rest --method "$1" --url "$2" --output none --headers 'Content-Type=application/json' "${@:4}" --body "$3"
}

# The API's application registration and its service principal.
register() {
    local application="$graph/applications(uniqueName='$name')" described="" role client tenant
    for role in "${roles[@]}"; do
        described+=",{\"id\":\"${role#*=}\",\"value\":\"${role%%=*}\",\"displayName\":\"${role%%=*}\",\"description\":\"${role%%=*}\",\"isEnabled\":true,\"allowedMemberTypes\":[\"Application\",\"User\"]}"
    done
    send patch "$application" "{\"displayName\":\"$name\",\"signInAudience\":\"AzureADMyOrg\",\"appRoles\":[${described#,}],\"api\":{\"requestedAccessTokenVersion\":2,\"oauth2PermissionScopes\":[{\"id\":\"$scope\",\"value\":\"access_as_user\",\"type\":\"User\",\"isEnabled\":true,\"adminConsentDisplayName\":\"Call Defender Functions\",\"adminConsentDescription\":\"Calls Defender Functions as the signed-in user, with the roles of that user.\"}]}}" 'Prefer=create-if-missing'
    client=$(az rest --url "$application" --query appId --output tsv)
    tenant=$(az account show --query tenantId --output tsv)
    # The Azure CLI, so that users can call the API with their own sign-in.
    send patch "$application" "{\"identifierUris\":[\"api://$tenant/$name\"],\"api\":{\"preAuthorizedApplications\":[{\"appId\":\"$azure_cli\",\"delegatedPermissionIds\":[\"$scope\"]}]}}"
    if ! az rest --url "$graph/servicePrincipals(appId='$client')" --output none 2>/dev/null; then
        send post "$graph/servicePrincipals" "{\"appId\":\"$client\",\"appRoleAssignmentRequired\":true}"
    fi
    echo "the application $name is registered"
    echo "API_CLIENT_ID=$client"
    echo "API_AUDIENCE=api://$tenant/$name"
}

# Assigns a role of the API to a caller.
admit() { # object id, role
    local client resource role id="" response
    for role in "${roles[@]}"; do
        if [ "${role%%=*}" = "$2" ]; then id=${role#*=}; fi
    done
    if [ -z "$id" ]; then
        echo "$2 is not a role of the API; the roles are: ${roles[*]%%=*}" >&2
        return 2
    fi
    client=$(az rest --url "$graph/applications(uniqueName='$name')" --query appId --output tsv)
    resource=$(az rest --url "$graph/servicePrincipals(appId='$client')" --query id --output tsv)
    if response=$(send post "$graph/servicePrincipals/$resource/appRoleAssignedTo" "{\"principalId\":\"$1\",\"resourceId\":\"$resource\",\"appRoleId\":\"$id\"}" 2>&1); then
        echo "$1 has the role $2"
    elif [[ $response == *"already exists"* ]]; then
        echo "$1 already has the role $2"
    else
        echo "$response" >&2
        return 1
    fi
}

if $api; then register; fi
for caller in ${callers[@]+"${callers[@]}"}; do admit "${caller%%=*}" "${caller#*=}"; done
