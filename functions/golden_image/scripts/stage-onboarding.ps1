#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Copies the onboarding scripts into a golden image and registers them for startup. It does not onboard the image.
.DESCRIPTION
The package is the portal's "VDI onboarding scripts for non-persistent endpoints", unpacked.
For single entries, both scripts are copied and the PowerShell script is registered. For multiple
entries, only the .cmd file is copied and registered.
Source: https://learn.microsoft.com/en-us/defender-endpoint/configure-endpoints-vdi
.PARAMETER Package
The folder of the unpacked package.
.PARAMETER Entry
Single for one device record per host name, Multiple for one per machine.
.PARAMETER NoRegistration
Only copy the files. Use this when a task of the domain starts the onboarding, which would otherwise run twice.
.EXAMPLE
.\stage-onboarding.ps1 -Package C:\Temp\package -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [string] $Package = {{package}},
    [ValidateSet('Single', 'Multiple')]
    [string] $Entry = {{entry}},
    [switch] $NoRegistration
)

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry and different folders.'
}
if (-not $Package) { throw 'Specify the folder of the unpacked onboarding package with -Package.' }

$scripts = "$env:windir\System32\GroupPolicy\Machine\Scripts"
$startup = "$scripts\Startup"
$ps1 = 'Onboard-NonPersistentMachine.ps1'
$cmd = 'WindowsDefenderATPOnboardingScript.cmd'
if ($Entry -eq 'Single') { $files = @($ps1, $cmd); $registered = $ps1; $ini = "$scripts\psscripts.ini"; $other = "$scripts\scripts.ini"; $unwanted = $cmd }
else { $files = @($cmd); $registered = $cmd; $ini = "$scripts\scripts.ini"; $other = "$scripts\psscripts.ini"; $unwanted = $ps1 }

foreach ($file in $files) {
    if (-not (Test-Path -LiteralPath (Join-Path $Package $file) -PathType Leaf)) {
        throw "$file is not in $Package. Download the package for non-persistent VDI and unpack it."
    }
}

function Get-Lines {
    param([string] $Path)
    if (-not (Test-Path -LiteralPath $Path)) { return @() }
    return @(Get-Content -LiteralPath $Path -Force)
}

# Finds a script in a scripts file, and the line where the next one belongs.
function Find-Script {
    param([string[]] $Lines, [string] $Script)
    $found = @{ Listed = $false; Next = 0; After = -1 }
    $inside = $false
    for ($i = 0; $i -lt $Lines.Count; $i++) {
        $line = ([string] $Lines[$i]).Trim()
        if ($line -match '^\[') { $inside = $line -eq '[Startup]'; if ($inside) { $found.After = $i } }
        elseif ($inside -and $line) {
            $found.After = $i
            if ($line -match '^(\d+)CmdLine=(.*)$') {
                $found.Next = [Math]::Max($found.Next, 1 + [int] $Matches[1])
                if (($Matches[2] -split '[\\/]')[-1].Trim('" ') -eq $Script) { $found.Listed = $true }
            }
        }
    }
    return $found
}

if (-not (Test-Path -LiteralPath $startup)) {
    if ($PSCmdlet.ShouldProcess($startup, 'Create the folder')) { $null = New-Item -ItemType Directory -Path $startup -Force }
}
foreach ($file in $files) {
    $from = Join-Path $Package $file
    $to = Join-Path $startup $file
    $same = (Test-Path -LiteralPath $to) -and ((Get-FileHash -LiteralPath $from).Hash -eq (Get-FileHash -LiteralPath $to).Hash)
    if (-not $same -and $PSCmdlet.ShouldProcess($to, "Copy from $Package")) { Copy-Item -LiteralPath $from -Destination $to -Force }
}
if ($NoRegistration) {
    Write-Output "Copied: $($files -join ', '). Nothing on this image starts them. The task of the domain does."
    return
}

$lines = @(Get-Lines $ini)
$place = Find-Script $lines $registered
if (-not $place.Listed -and $PSCmdlet.ShouldProcess($ini, "Register $registered")) {
    $added = @("$($place.Next)CmdLine=$registered", "$($place.Next)Parameters=")
    if ($place.After -lt 0) { $lines = @($lines) + '[Startup]' + $added }
    else {
        $rest = @()
        if ($place.After + 1 -lt $lines.Count) { $rest = @($lines[($place.After + 1)..($lines.Count - 1)]) }
        $lines = @($lines[0..$place.After]) + $added + $rest
    }
    Set-Content -LiteralPath $ini -Value $lines -Encoding Unicode -Force
}
if (@(Get-Lines $other) -match [regex]::Escape($unwanted)) {
    Write-Warning "$other also lists $unwanted. Remove it there, otherwise both scripts run."
}
$gpt = "$env:windir\System32\GroupPolicy\gpt.ini"
$scriptsExtension = '{42B5FAAE-6536-11D2-AE5A-0000F87571E3}'
if (-not (@(Get-Lines $gpt) -match [regex]::Escape($scriptsExtension))) {
    Write-Warning "The local policy does not list its scripts yet. Open gpedit.msc > Computer Configuration > Windows Settings > Scripts (Startup/Shutdown) > Startup, check that $registered is listed, and click OK."
}
Write-Output "Staged for startup: $($files -join ', '). Run it only on machines that have their final name."
